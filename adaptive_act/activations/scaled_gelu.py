"""Scaled GELU."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start


class ScaledGELU(Activation):
    """x · Φ(kx): GELU whose corner k sharpens, Φ the standard normal distribution function.

    k > 0: towards 0 it tends to x / 2, 1 is GELU, towards ∞ it tends to ReLU. Starts at 1.
    `approximate="tanh"` takes torch's tanh form of GELU instead, and then equals that one at k = 1.

    Source: Hendrycks & Gimpel 2016, https://arxiv.org/abs/1606.08415, for GELU; the scale after its
    parametric variants.
    """

    learned = {"k": Learned(1.0, positive=True)}
    fixed_points = {nn.GELU: {"k": 1.0}}
    onnx_ops = ("Mul", "Gelu", "Mul")

    def __init__(
        self, channels: int | None = None, channel_axis: int = 1, approximate: str = "none", **values: Start
    ) -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"`ScaledGELU` expects approximate `none` or `tanh`, got `{approximate}`")
        super().__init__(channels, channel_axis, **values)
        self.approximate = approximate

    def formula(self, x: Tensor, k: Tensor) -> Tensor:
        return F.gelu(k * x, approximate=self.approximate) / k

    def options(self) -> dict[str, Any]:
        return {"approximate": self.approximate}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        return {"approximate": plain.approximate}
