"""DY-ReLU, the dynamic ReLU."""

from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.pooling import bottleneck, channel_axis, counted, pooled, silent, spread


class DYReLU(Activation):
    """max(a₁x + b₁, a₂x + b₂): the larger of two lines, which each sample sets for each of its channels.

    A small network sees the mean m of every channel and gives the lines: a₁ = 1 + θ₁, a₂ = θ₂, b₁ = θ₃ / 2,
    b₂ = θ₄ / 2, with θ = tanh(W₂ · relu(W₁m + c₁) + c₂) between −1 and 1. W₂ and c₂ start at zero, where it
    equals ReLU; all else follows from what they learn. `channels` is required; `reduction` (4) is how many
    channels share a unit between W₁ and W₂.

    Source: Chen et al. 2020, https://arxiv.org/abs/2003.10027 (form B), whose 2σ(z) − 1 is tanh(z / 2); the
    half is left to W₂ here
    """

    elementwise = False
    learned = {}
    fixed_points = {nn.ReLU: {}}
    onnx_ops = (
        *("ReduceMean", "Gemm", "Relu", "Gemm", "Tanh", "Reshape", "Split"),
        *("Add", "Mul", "Mul", "Add", "Mul", "Mul", "Add", "Max"),
    )

    def __init__(self, channels: int | None = None, channel_axis: int = 1, reduction: int = 4) -> None:
        super().__init__(channels, channel_axis)
        count = counted(type(self), channels)
        self.reduction = reduction
        self.squeeze = nn.Linear(count, bottleneck(count, reduction))
        self.excite = silent(nn.Linear(self.squeeze.out_features, 4 * count))

    def formula(self, x: Tensor) -> Tensor:
        seen = pooled(x, self).to(self.squeeze.weight.dtype)
        theta = torch.tanh(self.excite(torch.relu(self.squeeze(seen))))
        a1, a2, b1, b2 = spread(theta, x, self).chunk(4, dim=channel_axis(x, self))
        return torch.maximum((1 + a1) * x + b1 / 2, a2 * x + b2 / 2)

    def options(self) -> dict[str, Any]:
        return {"reduction": self.reduction}
