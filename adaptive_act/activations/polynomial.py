"""Polynomials with learned coefficients."""

from math import factorial, sqrt

from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.fused import polynomial
from adaptive_act.learned import Learned

# The gain backwards, E[f′(z)²], when every coefficient but a0 is 1.
_GAIN = sum(1 / factorial(k) for k in range(3))


class HermitePolynomial(Activation):
    """Σ aₖHeₖ(x) / k!, k from 0 to 3: a cubic in the probabilists' Hermite polynomials, whose weights learn.

    He₀ to He₃ are 1, x, x² − 1 and x³ − 3x, which are orthogonal on a normal input. a0 shifts the curve, a1
    is the linear part, a2 and a3 bend it; none has bounds. a0 starts at √(1/3) and the others at √(2/5). That
    preserves variances: for z ~ N(0, 1), E[f(z)²] = 1 forwards and E[f′(z)²] = 1 backwards. With a1 = 1 and
    the others at 0 it equals the identity. It grows as x³: keep its inputs normalised. Half precision is
    computed in float32.

    Source: after Khalfaoui-Hassani & Kesselheim 2025, https://arxiv.org/abs/2502.01247
    """

    learned = {
        "a0": Learned(sqrt((1 - 1 / factorial(3)) / _GAIN)),
        "a1": Learned(1 / sqrt(_GAIN)),
        "a2": Learned(1 / sqrt(_GAIN)),
        "a3": Learned(1 / sqrt(_GAIN)),
    }
    fixed_points = {nn.Identity: {"a0": 0.0, "a1": 1.0, "a2": 0.0, "a3": 0.0}}
    in_float32 = True
    onnx_ops = ("Mul", "Add") * 3

    def formula(self, x: Tensor, a0: Tensor, a1: Tensor, a2: Tensor, a3: Tensor) -> Tensor:
        # Expanded to powers of x, so that only the coefficients pay for the basis.
        return polynomial(x, a0 - a2 / 2, a1 - a3 / 2, a2 / 2, a3 / 6)


class SLAF(Activation):
    """Σ aₖxᵏ, k from 0 to 4: a polynomial, whose every coefficient is learned.

    a0 shifts the curve, a1 is the slope at zero, a2 to a4 bend the curve; none has bounds. a1 starts at 1 and
    the others at 0, where it equals the identity, so the layer is linear until the coefficients move. It
    grows as x⁴: keep its inputs small (put a normalisation before it), and its learning rate low. Half
    precision is computed in float32.

    Source: Goyal et al. 2019, https://arxiv.org/abs/1906.09529; there it may start near another activation
    """

    learned = {
        "a0": Learned(0.0),
        "a1": Learned(1.0),
        "a2": Learned(0.0),
        "a3": Learned(0.0),
        "a4": Learned(0.0),
    }
    fixed_points = {nn.Identity: {"a0": 0.0, "a1": 1.0, "a2": 0.0, "a3": 0.0, "a4": 0.0}}
    in_float32 = True
    onnx_ops = ("Mul", "Add") * 4

    def formula(self, x: Tensor, **coefficients: Tensor) -> Tensor:
        return polynomial(x, *coefficients.values())
