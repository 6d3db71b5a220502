"""ELU and its relatives: an exponential or a tanh below zero."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.types import Device

from adaptive_act.activation import Activation
from adaptive_act.kernels import elu_below, negative_part, two_slopes
from adaptive_act.learned import Learned, StartValue

# The constants that torch's SELU holds.
_SELU_ALPHA, _SELU_GAMMA = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


class MPELU(Activation):
    """x for x ≥ 0, α · (exp(βx) − 1) for x < 0: ELU whose left side learns its depth and steepness.

    α is the depth (0 is ReLU, no bounds), β > 0 the steepness. Both start at 1, where it equals ELU and
    CELU with its default argument.

    Source: Li et al. 2016, https://arxiv.org/abs/1606.00305
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    fixed_points = {
        nn.ELU: {"alpha": "alpha", "beta": 1.0},
        nn.CELU: {"alpha": 1.0, "beta": 1.0},
        nn.ReLU: {"alpha": 0.0, "beta": 1.0},
    }
    onnx_ops = ("Mul", "Elu", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return elu_below(x, alpha, beta)


class PELU(Activation):
    """a/b · x for x ≥ 0, a · (exp(x / b) − 1) for x < 0: ELU with learned depth and reach.

    a > 0 is the depth of the left side and b > 0 its reach; the slope a/b is the same on both sides of zero.
    Both start at 1, where it equals ELU; with a = b it equals CELU. It is computed as a · ELU(x / b), which
    is the same function and cannot overflow in the backward pass.

    Source: Trottier et al. 2016, https://arxiv.org/abs/1605.09332; there a and b are clamped at 0.1, here
    they are kept positive by their logarithms.
    """

    learned = {"a": Learned(1.0, positive=True), "b": Learned(1.0, positive=True)}
    fixed_points = {nn.ELU: {"a": 1.0, "b": 1.0}, nn.CELU: {"a": "alpha", "b": "alpha"}}
    onnx_ops = ("Mul", "Elu", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a * F.elu(x / b)


class PREU(Activation):
    """αx for x ≥ 0, αx · exp(βx) for x < 0: a line whose left side dips and dies out, as Swish does.

    α is the slope at zero and right of it, without bounds. β > 0 sets how soon the left side dies out: as β
    tends to 0 the curve tends to a straight line, as β tends to ∞ to a scaled ReLU. Both start at 1. It
    equals no plain activation.

    Source: after Ying et al. 2019, surveyed in https://arxiv.org/abs/2402.09092
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    onnx_ops = ("Clip", "Mul", "Exp", "Mul", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return alpha * (x * torch.exp(beta * negative_part(x)))


class PSELU(Activation):
    """γ · x for x ≥ 0, γα · (exp(x) − 1) for x < 0: SELU whose scale and depth are learned.

    γ > 0 scales the whole; α, without bounds, is the depth of the left side before that scaling (0 is ReLU).
    They start at SELU's 1.0507 and 1.6733. Equals SELU, ELU, CELU with its default argument, and ReLU.

    Source: after Klambauer et al. 2017, https://arxiv.org/abs/1706.02515, with its constants learned
    """

    learned = {"gamma": Learned(_SELU_GAMMA, positive=True), "alpha": Learned(_SELU_ALPHA)}
    fixed_points = {
        nn.SELU: {"gamma": _SELU_GAMMA, "alpha": _SELU_ALPHA},
        nn.ELU: {"gamma": 1.0, "alpha": "alpha"},
        nn.CELU: {"gamma": 1.0, "alpha": 1.0},
        nn.ReLU: {"gamma": 1.0, "alpha": 0.0},
    }
    onnx_ops = ("Elu", "LeakyRelu", "Mul")

    def formula(self, x: Tensor, gamma: Tensor, alpha: Tensor) -> Tensor:
        return gamma * two_slopes(F.elu(x), alpha)


class PTELU(Activation):
    """x for x ≥ 0, α · tanh(βx) for x < 0: ReLU whose left side is a tanh of learned depth and steepness.

    α is the depth (0 is ReLU, no bounds), β > 0 the steepness. Both start at 1. Equals ReLU.

    Source: after Duggal & Gupta 2017 (P-TELU), surveyed in https://arxiv.org/abs/2402.09092
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    fixed_points = {nn.ReLU: {"alpha": 0.0, "beta": 1.0}}
    onnx_ops = ("Relu", "Clip", "Mul", "Tanh", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return torch.relu(x) + alpha * torch.tanh(beta * negative_part(x))


class XIELU(Activation):
    """αₚx² + βx for x > 0, αₙ(exp(x) − 1 − x) + βx for x ≤ 0: quadratic to the right, with a dip to the left.

    αₚ > 0 bends the right side. αₙ is learned as its `excess` over β; excess > 0 makes the curve rise again
    on the far left. β, the slope at zero, is an option, by default 0.5. αₚ starts at 0.8 and the excess at
    0.3, so αₙ starts at 0.8 too. It equals no plain activation. It is computed as
    x · (αₚ · max(0, x) − excess) + αₙ · ELU(x), which is the same function.

    Source: Huang & Schlag 2024, https://arxiv.org/abs/2411.13010; there αₚ and the excess are kept positive
    by softplus, here by their logarithms.
    """

    learned = {"alpha_p": Learned(0.8, positive=True), "excess": Learned(0.3, positive=True)}
    onnx_ops = ("Relu", "Mul", "Sub", "Mul", "Elu", "Mul", "Add")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        beta: float = 0.5,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        self.beta = float(beta)

    def formula(self, x: Tensor, alpha_p: Tensor, excess: Tensor) -> Tensor:
        return x * (alpha_p * torch.relu(x) - excess) + (self.beta + excess) * F.elu(x)

    def options(self) -> dict[str, Any]:
        return {"beta": self.beta}
