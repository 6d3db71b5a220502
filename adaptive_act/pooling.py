"""What input-dependent activations share: the channels they need, and what they see of an input."""

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation

NARROWEST = 4
"""The fewest units between a hyper-network's two layers."""


def counted(kind: type[Activation], channels: int | None) -> int:
    """The number of channels; raises ValueError where none is given, since the layers need their sizes."""
    if not channels:
        raise ValueError(
            f"`{kind.__name__}` looks at the channels of its input and has to know how many there are: pass "
            f"`channels=`, or an `example=` to `swap`; got `{channels}`"
        )
    return channels


def channel_axis(x: Tensor, activation: Activation) -> int:
    """The channel axis of x, counted from the front.

    Raises ValueError where x has other channels than the activation, or no batch before them.
    """
    axis = activation.channel_axis + (x.dim() if activation.channel_axis < 0 else 0)
    if not (0 < axis < x.dim() and x.shape[axis] == activation.channels):
        raise ValueError(
            f"`{type(activation).__name__}` has {activation.channels} channels along axis "
            f"{activation.channel_axis} of a batch, got an input of shape {list(x.shape)}"
        )
    return axis


def pooled(x: Tensor, activation: Activation) -> Tensor:
    """The mean of each channel of each sample, [N, C]; x is [N, C], [N, C, ...] or [N, ..., C]."""
    axis = channel_axis(x, activation)
    rest = [other for other in range(1, x.dim()) if other != axis]
    return x.mean(rest) if rest else x


def spread(values: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Values [N, n] in x's dtype, n along its channel axis: with n = C they meet x at sample and channel."""
    axis, values = channel_axis(x, activation), values.to(x.dtype)
    ones = (*(1,) * (axis - 1), values.shape[1], *(1,) * (x.dim() - axis - 1))
    return values if x.dim() == 2 else values.reshape(-1, *ones)


def bottleneck(channels: int, reduction: int) -> int:
    """The units between a hyper-network's layers; raises ValueError where the reduction is not from 1 up."""
    if reduction < 1:
        raise ValueError(f"expected a reduction of at least 1, got {reduction}")
    return max(channels // reduction, NARROWEST)


def silent(layer: nn.Linear) -> nn.Linear:
    """The layer with its weights and biases at zero: it gives 0 until it has learned otherwise."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Norm(nn.BatchNorm1d):
    """Batch normalisation of [N, C, ...] that takes its running statistics where a channel has one number.

    torch refuses to train on one number a channel, as the last batch of an epoch may bring.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x normalised over all axes but the second, in training with the batch's own statistics."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        normal: Tensor = super().forward(x)
        return normal

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes will do; torch asks for two or three."""
