"""Layers of the small networks inside activations that depend on more of their input than one place."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._jit_internal import is_scripting
from torch.types import Device

NARROWEST = 4
"""The fewest units between a hyper-network's two layers."""


def bottleneck_width(channels: int, reduction: int) -> int:
    """The units between a hyper-network's layers; raises ValueError where the reduction is not from 1 up."""
    if reduction < 1:
        raise ValueError(f"expected a reduction of at least 1, got {reduction}")
    return max(channels // reduction, NARROWEST)


class ZeroLinear(nn.Linear):
    """A linear layer that gives 0 until it has learned otherwise."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class Norm(nn.BatchNorm1d):
    """Batch normalisation of [N, C, ...] that uses its running statistics if a channel has one number.

    torch refuses to train on one number per channel, which the last batch of an epoch may have. `scale` is
    where its weights start.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: float = 1.0,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.scale = scale
        super().__init__(channels, eps=eps, affine=affine, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.affine:
            nn.init.constant_(self.weight, self.scale)

    def forward(self, x: Tensor) -> Tensor:
        """x normalised over all axes but the second, in training with the batch's own statistics."""
        # TorchScript leaves out the block of this very condition, and of none with more to it.
        if not is_scripting():  # noqa: SIM102
            if isinstance(x, fx.Proxy):
                return self._add_to_graph(x)
        learning = self.training and x.numel() != x.shape[1]
        if learning and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        assert self.momentum is not None, "a running mean is kept, not that of all batches"
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=learning,
            momentum=self.momentum,
            eps=self.eps,
        )

    def _add_to_graph(self, x: fx.Proxy) -> Any:
        """One step of the graph, as torch's own normalisations are: the mode can still change."""
        tracer = cast(fx.Tracer, x.tracer)
        return tracer.create_proxy("call_module", tracer.path_of_module(self), (x,), {})
