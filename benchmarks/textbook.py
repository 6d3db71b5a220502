"""The activations as textbook code in torch operators, to which ours are compared."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from adaptive_act import Activation

Formula = Callable[..., Tensor]


class Textbook(nn.Module):
    """A textbook formula with learned parameters of its own, which start where `activation`'s stand."""

    def __init__(self, activation: Activation, formula: Formula) -> None:
        super().__init__()
        self.formula = formula
        self.values = nn.ParameterDict(activation.values())

    def forward(self, x: Tensor) -> Tensor:
        """The formula at the learned values."""
        return self.formula(x, **self.values)


def _elu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.exp(x) - 1)


def _softplus(x: Tensor) -> Tensor:
    return torch.log(1 + torch.exp(x))


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def _two_lines(x: Tensor, right: Tensor | float, left: Tensor | float) -> Tensor:
    return torch.where(x >= 0, right * x, left * x)


def _srelu(x: Tensor, tl: Tensor, al: Tensor, tr: Tensor, ar: Tensor) -> Tensor:
    return torch.where(x >= tr, tr + ar * (x - tr), torch.where(x <= tl, tl + al * (x - tl), x))


def _xielu(x: Tensor, alpha_p: Tensor, excess: Tensor) -> Tensor:
    curved = torch.expm1(torch.clamp(x, max=0)) - x
    return torch.where(x > 0, alpha_p * x * x + 0.5 * x, (0.5 + excess) * curved + 0.5 * x)


def _abu(
    x: Tensor, w_tanh: Tensor, w_elu: Tensor, w_relu: Tensor, w_identity: Tensor, w_silu: Tensor
) -> Tensor:
    curved = w_tanh * torch.tanh(x) + w_elu * _elu(x) + w_silu * x * torch.sigmoid(x)
    return curved + w_relu * torch.relu(x) + w_identity * x


def _pau(x: Tensor, **c: Tensor) -> Tensor:
    over = sum((c[f"a{k}"] * x**k for k in range(1, 6)), c["a0"])
    return over / (1 + torch.abs(sum((c[f"b{k}"] * x**k for k in range(2, 5)), c["b1"] * x)))


def _melu(x: Tensor, a: Tensor, c1: Tensor, c2: Tensor, c3: Tensor) -> Tensor:
    hats = [c * torch.relu(w - torch.abs(x - m)) for c, m, w in ((c1, 2, 2), (c2, 1, 1), (c3, 3, 1))]
    return sum(hats, _two_lines(x, 1.0, a))


TEXTBOOK: dict[str, Formula] = {
    "ABU": _abu,
    "ACONC": lambda x, p1, p2, beta: (p1 - p2) * x * torch.sigmoid(beta * (p1 - p2) * x) + p2 * x,
    "AHAF": lambda x, gamma, beta: gamma * x * torch.sigmoid(beta * x),
    "APL": lambda x, a1, b1, a2, b2: torch.relu(x) + a1 * torch.relu(b1 - x) + a2 * torch.relu(b2 - x),
    "APTx": lambda x, alpha, beta, gamma: (alpha + torch.tanh(beta * x)) * gamma * x,
    "AReLU": lambda x, a, b: (1 + torch.sigmoid(b)) * torch.relu(x) + a.clamp(0.01, 0.99) * -torch.relu(-x),
    "AdaptiveHardswish": lambda x, a, b: x * torch.clamp(a * x + b, 0, 1),
    "AdaptiveSoftplus": lambda x, beta: _softplus(beta * x) / beta,
    "Affine": lambda x, alpha, beta, gamma, delta: alpha * torch.tanh(beta * x + gamma) + delta,
    "BLU": lambda x, beta: beta * (torch.sqrt(x**2 + 1) - 1) + x,
    "BetaMish": lambda x, beta: x * torch.tanh(torch.log((1 + torch.exp(x)) ** beta)),
    "CosLU": lambda x, alpha, beta: (x + alpha * torch.cos(beta * x)) * torch.sigmoid(x),
    "DPReLU": lambda x, p, n: torch.where(x >= 0, p * x, n * x),
    "DynActivation": lambda x, alpha, beta: (alpha - beta) * x * torch.tanh(_softplus(x)) + beta * x,
    "ErfAct": lambda x, alpha, beta: x * torch.erf(alpha * torch.exp(beta * x)),
    "ErfReLU": lambda x, alpha: torch.where(x >= 0, x, alpha * torch.erf(x)),
    "HermitePolynomial": lambda x, a0, a1, a2, a3: (
        a0 + a1 * x + a2 * (x**2 - 1) / 2 + a3 * (x**3 - 3 * x) / 6
    ),
    "LAAF": lambda x, a: torch.tanh(a * x),
    "MPELU": lambda x, alpha, beta: torch.where(x > 0, x, alpha * (torch.exp(beta * x) - 1)),
    "MeLU": _melu,
    "NEAAF": lambda x, alpha, beta: alpha * torch.relu(x) + 0.1 * beta * torch.relu(x) ** 3,
    "PACT": lambda x, a: torch.minimum(torch.relu(x), a),
    "PAU": _pau,
    "PELU": lambda x, a, b: torch.where(x >= 0, a / b * x, a * (torch.exp(x / b) - 1)),
    "PLU": lambda x, alpha, c: torch.maximum(alpha * (x + c) - c, torch.minimum(alpha * (x - c) + c, x)),
    "PReLU": lambda x, a: torch.where(x >= 0, x, a * x),
    "PREU": lambda x, alpha, beta: torch.where(x >= 0, alpha * x, alpha * x * torch.exp(beta * x)),
    "PSELU": lambda x, gamma, alpha: torch.where(x >= 0, gamma * x, gamma * alpha * (torch.exp(x) - 1)),
    "PSSiLU": lambda x, a, b: x * (torch.sigmoid(a * x) - b) / (1 - b),
    "PTELU": lambda x, alpha, beta: torch.where(x >= 0, x, alpha * torch.tanh(beta * x)),
    "PVLU": lambda x, alpha, beta: torch.relu(x) + alpha * torch.sin(beta * x),
    "PiLU": lambda x, a, b, c: torch.where(x >= c, a * x + c * (1 - a), b * x + c * (1 - b)),
    "Pserf": lambda x, gamma, delta: x * torch.erf(gamma * _softplus(delta * x)),
    "RPReLU": lambda x, gamma, beta, zeta: _two_lines(x - gamma, 1.0, beta) + zeta,
    "SLAF": lambda x, **c: sum((c[f"a{k}"] * x**k for k in range(1, 5)), c["a0"]),
    "SMU": lambda x, alpha, mu: ((1 + alpha) * x + (1 - alpha) * x * torch.erf(mu * (1 - alpha) * x)) / 2,
    "SReLU": _srelu,
    "ScaledGELU": lambda x, k: _gelu(k * x) / k,
    "ScaledMish": lambda x, beta: x * torch.tanh(_softplus(beta * x)),
    "ScaledSoftSign": lambda x, alpha, beta: alpha * x / (beta + torch.abs(x)),
    "ShiLU": lambda x, a, b: a * torch.relu(x) + b,
    "Snake": lambda x, a: x + torch.sin(a * x) ** 2 / a,
    "SnakeBeta": lambda x, alpha, beta: x + torch.sin(alpha * x) ** 2 / beta,
    "SoftThreshold": lambda x, tau: torch.sign(x) * torch.relu(torch.abs(x) - tau),
    "SquarePlus": lambda x, b: (x + torch.sqrt(x**2 + b)) / 2,
    "Stan": lambda x, beta: torch.tanh(x) * (1 + beta * x),
    "StarReLU": lambda x, s, b: s * torch.relu(x) ** 2 + b,
    "Swish": lambda x, beta: x * torch.sigmoid(beta * x),
    "TanhLU": lambda x, alpha, lambd, beta: alpha * torch.tanh(lambd * x) + beta * x,
    "XIELU": _xielu,
}
"""Of those that work on each element alone; PWLU has no short textbook form, its code is a lookup table."""
