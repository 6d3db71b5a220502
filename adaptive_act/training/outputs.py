"""How large the outputs of each activation are, read now and then during training."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.training.hooks import ActivationHooks

Scales = Mapping[str, Tensor]
"""The largest magnitude that each activation gave, by layer."""


class OutputReader:
    """Reads the largest output of each activation of `model` in every `every`-th step, in training mode.

    `first` and `latest` are those of the first and the last step that was read; they stay on their device.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        self.first: Scales = {}
        self.latest: Scales = {}
        self._model, self._every = model, every
        self._steps = 0
        self._reading: dict[str, Tensor] = {}
        self._hooks = ActivationHooks(model, self._read)

    def end_step(self) -> None:
        """Counts a step, of one forward pass or of several."""
        if self._reading:
            self.latest, self._reading = self._reading, {}
            self.first = self.first or self.latest
        self._steps += 1

    def close(self) -> None:
        """Removes the hooks from the model."""
        self._hooks.close()

    def _read(self, layer: str, _: Tensor, output: Tensor) -> None:
        if not self._model.training or self._steps % self._every or not output.numel():
            return
        scale = torch.linalg.vector_norm(output, math.inf)
        known = self._reading.get(layer)
        self._reading[layer] = scale if known is None else torch.maximum(known, scale)


def find_growth(before: Scales, after: Scales) -> tuple[str, float] | None:
    """The layer whose outputs grew most and how many times, where any grew at all.

    A layer whose outputs are not finite any more grew infinitely; the first such one is taken.
    """
    growth = {layer: _divide(after[layer].item(), before[layer].item()) for layer in after if layer in before}
    layer = max(growth, key=growth.__getitem__, default=None)
    return None if layer is None or growth[layer] <= 1 else (layer, growth[layer])


def _divide(after: Any, before: Any) -> float:
    if not math.isfinite(after):
        return math.inf
    return after / before if before else 1.0
