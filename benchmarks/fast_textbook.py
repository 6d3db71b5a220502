"""The textbook's activations in the fastest functions that torch offers to everyone, such as `F.elu`."""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.textbook import TEXTBOOK, Formula


def _left(x: Tensor) -> Tensor:
    """min(0, x); relu has a faster backward pass than clamp."""
    return -torch.relu(-x)


def _nest(x: Tensor, coefficients: list[Tensor]) -> Tensor:
    """The polynomial by Horner's rule, from the coefficient of x⁰ up."""
    return reduce(lambda value, coefficient: coefficient + x * value, reversed(coefficients))


def _prelu(x: Tensor, a: Tensor) -> Tensor:
    return F.prelu(x, a)


def _abu(
    x: Tensor, w_tanh: Tensor, w_elu: Tensor, w_relu: Tensor, w_identity: Tensor, w_silu: Tensor
) -> Tensor:
    curved = w_tanh * torch.tanh(x) + w_elu * F.elu(x) + w_silu * F.silu(x)
    return curved + w_relu * torch.relu(x) + w_identity * x


def _pau(x: Tensor, **coefficients: Tensor) -> Tensor:
    *above, b1, b2, b3, b4 = coefficients.values()
    return _nest(x, above) / (1 + (x * _nest(x, [b1, b2, b3, b4])).abs())


def _hermite(x: Tensor, a0: Tensor, a1: Tensor, a2: Tensor, a3: Tensor) -> Tensor:
    return _nest(x, [a0 - a2 / 2, a1 - a3 / 2, a2 / 2, a3 / 6])


def _srelu(x: Tensor, tl: Tensor, al: Tensor, tr: Tensor, ar: Tensor) -> Tensor:
    return torch.clamp(x, tl, tr) + ar * torch.relu(x - tr) + al * _left(x - tl)


def _xielu(x: Tensor, alpha_p: Tensor, excess: Tensor) -> Tensor:
    return x * (alpha_p * torch.relu(x) - excess) + (0.5 + excess) * F.elu(x)


def _melu(x: Tensor, a: Tensor, **heights: Tensor) -> Tensor:
    places = ((2, 2), (1, 1), (3, 1))
    hats = [c * torch.relu(w - (x - m).abs()) for c, (m, w) in zip(heights.values(), places, strict=True)]
    return sum(hats, F.prelu(x, a))


_FASTER: dict[str, Formula] = {
    "ABU": _abu,
    "ACONC": lambda x, p1, p2, beta: x * ((p1 - p2) * torch.sigmoid(beta * (p1 - p2) * x) + p2),
    "AHAF": lambda x, gamma, beta: gamma / beta * F.silu(beta * x),
    "AdaptiveHardswish": lambda x, a, b: x * F.hardsigmoid(6 * a * x + (6 * b - 3)),
    "AdaptiveSoftplus": lambda x, beta: F.softplus(beta * x) / beta,
    "AReLU": lambda x, a, b: (1 + torch.sigmoid(b)) * torch.relu(x) + a.clamp(0.01, 0.99) * _left(x),
    "BetaMish": lambda x, beta: x * torch.tanh(beta * F.softplus(x)),
    "DPReLU": lambda x, p, n: p * torch.relu(x) + n * _left(x),
    "DynActivation": lambda x, alpha, beta: (alpha - beta) * F.mish(x) + beta * x,
    "ErfReLU": lambda x, alpha: torch.relu(x) + alpha * torch.erf(_left(x)),
    "HermitePolynomial": _hermite,
    "MPELU": lambda x, alpha, beta: torch.relu(x) + alpha * torch.expm1(beta * _left(x)),
    "MeLU": _melu,
    "NEAAF": lambda x, alpha, beta: torch.relu(x) * (alpha + 0.1 * beta * torch.relu(x).square()),
    "PAU": _pau,
    "PELU": lambda x, a, b: a * F.elu(x / b),
    "PLU": lambda x, alpha, c: alpha * x + (1 - alpha) * torch.clamp(x, -c, c),
    "PReLU": _prelu,
    "PREU": lambda x, alpha, beta: alpha * x * torch.exp(beta * _left(x)),
    "PSELU": lambda x, gamma, alpha: gamma * F.prelu(F.elu(x), alpha),
    "PTELU": lambda x, alpha, beta: torch.relu(x) + alpha * torch.tanh(beta * _left(x)),
    "PiLU": lambda x, a, b, c: a * torch.relu(x - c) + b * _left(x - c) + c,
    "Pserf": lambda x, gamma, delta: x * torch.erf(gamma * F.softplus(delta * x)),
    "RPReLU": lambda x, gamma, beta, zeta: F.prelu(x - gamma, beta) + zeta,
    "SLAF": lambda x, **coefficients: _nest(x, list(coefficients.values())),
    "SMU": lambda x, alpha, mu: F.gelu(2**0.5 * mu * (1 - alpha) * x) / (2**0.5 * mu) + alpha * x,
    "SReLU": _srelu,
    "ScaledGELU": lambda x, k: F.gelu(k * x) / k,
    "ScaledMish": lambda x, beta: F.mish(beta * x) / beta,
    "SoftThreshold": lambda x, tau: x - torch.clamp(x, -tau, tau),
    "StarReLU": lambda x, s, b: s * torch.relu(x).square() + b,
    "XIELU": _xielu,
}
FAST_TEXTBOOK: dict[str, Formula] = TEXTBOOK | _FASTER
"""The textbook's own formula where torch has nothing faster for it."""
