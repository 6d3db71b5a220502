"""Affine, a plain activation whose input and output are scaled and shifted."""

from typing import Any

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start
from adaptive_act.plain import PLAIN, Description, build, describe


class Affine(Activation):
    """α · f(βx + γ) + δ: any plain activation f with learned scales and shifts on both sides.

    α and β scale, γ and δ shift; they start at 1, 1, 0, 0, where it equals f. Beside linear layers it adds
    nothing that the layers could not express: it changes how training goes, and folds away at export.

    Source: Kunc & Kléma 2021 (transformative adaptive activation functions), surveyed in
    https://arxiv.org/abs/2402.09249
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0), "gamma": Learned(0.0), "delta": Learned(0.0)}
    fixed_points = {
        plain.module: {"alpha": 1.0, "beta": 1.0, "gamma": 0.0, "delta": 0.0} for plain in PLAIN.values()
    }
    onnx_ops = ("Mul", "Add", "Tanh", "Mul", "Add")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        base: str | Description | type[nn.Module] | nn.Module = "Tanh",
        **values: Start,
    ) -> None:
        super().__init__(channels, channel_axis, **values)
        self.base = build(base)

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor, delta: Tensor) -> Tensor:
        transformed: Tensor = alpha * self.base(beta * x + gamma) + delta
        return transformed

    def options(self) -> dict[str, Any]:
        return {"base": describe(self.base)}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        return {"base": plain}
