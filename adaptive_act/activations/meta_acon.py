"""Meta-ACON."""

from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start
from adaptive_act.pooling import bottleneck, counted, pooled, silent, spread


class MetaACON(Activation):
    """(p₁ − p₂)x · sigmoid(β(p₁ − p₂)x) + p₂x: ACON, whose sharpness β each sample sets for its channels.

    p₁ and p₂, without bounds, are the slopes far right and far left; β in (0, 2) is how sharply it passes
    from one to the other. A small network gives it from the mean m of every channel:
    β = 2 · sigmoid(W₂(W₁m + c₁) + c₂). W₂ and c₂ start at zero, so β at 1; with the starts p₁ = 1 and p₂ = 0
    it equals SiLU, and with p₁ = p₂ = 1 the identity. `channels` is required; `reduction` (16) is how many
    channels share a unit between W₁ and W₂.

    Source: Ma et al. 2021, https://arxiv.org/abs/2009.04759; there β = sigmoid(…), and p₁, p₂ start at random
    """

    elementwise = False
    learned = {"p1": Learned(1.0), "p2": Learned(0.0)}
    fixed_points = {nn.SiLU: {"p1": 1.0, "p2": 0.0}, nn.Identity: {"p1": 1.0, "p2": 1.0}}
    onnx_ops = (
        *("ReduceMean", "Gemm", "Gemm", "Exp", "Add", "Reciprocal", "Reshape", "Mul"),
        *("Mul", "Sigmoid", "Mul", "Add", "Mul"),
    )

    def __init__(
        self, channels: int | None = None, channel_axis: int = 1, reduction: int = 16, **values: Start
    ) -> None:
        super().__init__(channels, channel_axis, **values)
        count = counted(type(self), channels)
        self.reduction = reduction
        self.squeeze = nn.Linear(count, bottleneck(count, reduction))
        self.excite = silent(nn.Linear(self.squeeze.out_features, count))

    def formula(self, x: Tensor, p1: Tensor, p2: Tensor) -> Tensor:
        seen = pooled(x, self).to(self.squeeze.weight.dtype)
        beta = spread(2 * torch.sigmoid(self.excite(self.squeeze(seen))), x, self)
        apart = p1 - p2
        return x * (apart * torch.sigmoid(beta * apart * x) + p2)

    def options(self) -> dict[str, Any]:
        return {"reduction": self.reduction}
