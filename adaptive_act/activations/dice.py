"""Dice, the data adaptive activation."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start
from adaptive_act.pooling import Norm, channel_axis, counted


class Dice(Activation):
    """p · x + (1 − p) · αx with p = σ((x − E) / √(V + 1e-8)): PReLU, whose corner follows the data.

    α is the slope that the left side tends to, without bounds, and starts at 0. E and V are the mean and the
    variance of each channel: those of the batch in training, running ones in evaluation, as in a batch
    normalisation. At α = 1 it equals the identity, whatever the data; at the start it is near SiLU on a
    normalised input, but equals no activation with a corner. `channels` is required. A training batch with
    one number a channel takes the running statistics.

    Source: Zhou et al. 2018 (Deep Interest Network), https://arxiv.org/abs/1706.06978
    """

    elementwise = False
    learned = {"alpha": Learned(0.0)}
    fixed_points = {nn.Identity: {"alpha": 1.0}}
    onnx_ops = ("BatchNormalization", "Sigmoid", "Mul", "Add", "Mul")

    def __init__(self, channels: int | None = None, channel_axis: int = 1, **values: Start) -> None:
        super().__init__(channels, channel_axis, **values)
        self.norm = Norm(counted(type(self), channels), eps=1e-8, affine=False)

    def formula(self, x: Tensor, alpha: Tensor) -> Tensor:
        axis = channel_axis(x, self)
        normal = self.norm(x) if axis == 1 else self.norm(x.movedim(axis, 1)).movedim(1, axis)
        return x * (alpha + (1 - alpha) * torch.sigmoid(normal))
