"""NEAAF, Yevick's nonlinearity-enhanced adaptive activation function."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start
from adaptive_act.activations.pelu import PELU
from adaptive_act.activations.prelu import PReLU
from adaptive_act.kernels import cube, cubic_right

Side = Literal["positive", "both"]
BASES: dict[str, type[nn.Module]] = {
    "ReLU": nn.ReLU,
    "PReLU": PReLU,
    "ELU": nn.ELU,
    "PELU": PELU,
    "SiLU": nn.SiLU,
}


class NEAAF(Activation):
    """α · g(x) + γβ · c(x): a base activation g and a cubic c, both with a learned weight.

    α starts at 1 and β at 0, where it equals its base; γ is a fixed number that sets how strongly a change of
    β acts (0.1 unless given; larger is bolder and diverges more often). g is ReLU, PReLU, ELU, PELU or SiLU.

    The paper's abstract calls the cubic "even", and public summaries of it disagree on what that means, so
    both readings are here: `side="positive"`, the default, is c(x) = max(0, x)³, which leaves the left side
    of ReLU at zero; `side="both"` is c(x) = |x|³. Which one the author used is not verified.

    Source: Yevick 2024, https://arxiv.org/abs/2403.19896
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(0.0)}
    fixed_points = {
        plain: {"alpha": 1.0, "beta": 0.0} for plain in (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU)
    }
    in_float32 = True
    onnx_ops = ("Relu", "Mul", "Mul", "Add", "Mul")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        base: str | type[nn.Module] | nn.Module = "ReLU",
        side: Side = "positive",
        gamma: float = 0.1,
        **values: Start,
    ) -> None:
        if side not in ("positive", "both"):
            raise ValueError(f"`NEAAF` expects side `positive` or `both`, got `{side}`")
        if isinstance(base, Activation):
            channels = channels or base.channels
        super().__init__(channels, channel_axis, **values)
        self.side: Side = side
        self.gamma = float(gamma)
        self.base = _base(base, channels, channel_axis)

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        if self.side == "positive" and isinstance(self.base, nn.ReLU):
            return cubic_right(x, alpha, self.gamma * beta)
        side = torch.relu(x) if self.side == "positive" else x.abs()
        blend: Tensor = alpha * self.base(x) + self.gamma * beta * cube(side)
        return blend

    def options(self) -> dict[str, Any]:
        return {"base": type(self.base).__name__, "side": self.side, "gamma": self.gamma}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        learned_slope = isinstance(plain, nn.LeakyReLU | nn.PReLU)
        return {"base": PReLU.at_fixed_point(plain) if learned_slope else type(plain)}


def _base(base: str | type[nn.Module] | nn.Module, channels: int | None, channel_axis: int) -> nn.Module:
    """The base as a module of its own, with the granularity of the whole where it learns."""
    values = base.values() if isinstance(base, Activation) else {}
    kind = base if isinstance(base, str | type) else type(base)
    name = kind if isinstance(kind, str) else kind.__name__
    if name not in BASES:
        raise ValueError(f"`NEAAF` expects a base among {list(BASES)}, got `{name}`")
    found = BASES[name]
    return found(channels, channel_axis, **values) if issubclass(found, Activation) else found()
