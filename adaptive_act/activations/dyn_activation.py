"""dynActivation, a blend of a plain activation with the identity."""

from typing import Any

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start
from adaptive_act.plain import PLAIN, Description, build, describe


class DynActivation(Activation):
    """(α − β) · f(x) + βx: any plain activation f, moved towards the identity.

    β is the weight of the line, α the slope of the whole wherever f has slope 1; both are unbounded and start
    at 1 and 0, where it equals f (Mish unless given). With both at 1 it equals the identity.

    Source: Bachmann 2026, https://arxiv.org/abs/2603.22154
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(0.0)}
    fixed_points = {plain.module: {"alpha": 1.0, "beta": 0.0} for plain in PLAIN.values()} | {
        nn.Identity: {"alpha": 1.0, "beta": 1.0}
    }
    onnx_ops = ("Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul", "Add", "Mul")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        base: str | Description | type[nn.Module] | nn.Module = "Mish",
        **values: Start,
    ) -> None:
        super().__init__(channels, channel_axis, **values)
        self.base = build(base)

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        blend: Tensor = (alpha - beta) * self.base(x) + beta * x
        return blend

    def options(self) -> dict[str, Any]:
        return {"base": describe(self.base)}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        return {} if isinstance(plain, nn.Identity) else {"base": plain}
