"""Funnel, the funnel activation."""

import copy

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.pooling import Norm, counted


class Funnel(Activation):
    """max(x, T(x)) with T(x) = N(W ∗ x): ReLU, whose zero becomes what each place's neighbours say.

    W is one 3×3 filter a channel, N a batch normalisation; x is [batch, channels, height, width]. The scale
    of N starts at zero, where T is 0 and it equals ReLU; the scale learns first, and the filter after it.
    `channels` is required. It is called FReLU too, a name that another activation also bears.

    Source: Ma et al. 2020, https://arxiv.org/abs/2007.11824
    """

    elementwise = False
    learned = {}
    fixed_points = {nn.ReLU: {}}
    onnx_ops = ("Conv", "Max")

    def __init__(self, channels: int | None = None, channel_axis: int = 1) -> None:
        super().__init__(channels, channel_axis)
        count = counted(type(self), channels)
        if channel_axis not in (1, -3):
            raise ValueError(
                f"`Funnel` looks at images with their channels along axis 1, got axis {channel_axis}"
            )
        self.filter = nn.Conv2d(count, count, 3, padding=1, groups=count, bias=False)
        self.norm = Norm(count)
        nn.init.zeros_(self.norm.weight)

    def formula(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f"`Funnel` expects images [batch, {self.channels}, height, width], got an input of shape "
                f"{list(x.shape)}"
            )
        seen = self.norm(self.filter(x.to(self.filter.weight.dtype)))
        return torch.maximum(x, seen.to(x.dtype))

    def curve(self, points: Tensor) -> Tensor:
        """The activation in the middle of a constant image, in evaluation mode: [C, n]; float64, detached."""
        twin = copy.deepcopy(self).double().eval()
        images = points.double().reshape(-1, 1, 1, 1).expand(-1, self.filter.in_channels, 3, 3)
        with torch.no_grad():
            values: Tensor = twin(images)
        return values[:, :, 1, 1].T.contiguous()
