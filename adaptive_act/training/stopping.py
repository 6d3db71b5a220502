"""Early stopping on a metric of held-out data."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adaptive_act.training.schedule import find_cubic_activations, set_gamma
from adaptive_act.training.snapshot import Snapshot

Mode = Literal["min", "max"]


class EarlyStopping:
    """Keeps the best state of a model by a metric on held-out data, and says when it no longer improves.

    It counts as better when it beats the best by more than `min_delta`; NaN never does. The best state is
    kept where the model is, or on `device` ("cpu" spares the accelerator's memory). A γ that is being ramped
    is part of it.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        patience: int = 5,
        mode: Mode = "min",
        min_delta: float = 0.0,
        device: torch.device | str | None = None,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"`EarlyStopping` expects mode `min` or `max`, got `{mode}`")
        if patience < 1:
            raise ValueError(f"`EarlyStopping` expects a patience of at least 1, got {patience}")
        self.patience, self.mode, self.min_delta = patience, mode, min_delta
        self.best: float | None = None
        self.best_update = 0
        self.updates = 0
        self._model, self._device = model, device
        self._snapshot: Snapshot | None = None
        self._gammas: dict[str, float] = {}

    def update(self, metric: float | Tensor) -> bool:
        """True when the metric has not improved for `patience` updates; the model itself is not changed."""
        self.updates += 1
        value = float(metric.detach() if isinstance(metric, Tensor) else metric)
        if self._better(value):
            self.best, self.best_update = value, self.updates
            self._keep()
        return self.updates - self.best_update >= self.patience

    def restore(self) -> None:
        """Gives the model the parameters and buffers of its best update; without any, leaves it as it is."""
        if self._snapshot is None:
            return
        self._snapshot.restore()
        for layer, activation in find_cubic_activations(self._model).items():
            set_gamma(activation, self._gammas[layer])

    def state_dict(self) -> dict[str, Any]:
        """The state from which to continue, the best tensors included."""
        return {
            "best": self.best,
            "best_update": self.best_update,
            "updates": self.updates,
            "tensors": None if self._snapshot is None else dict(self._snapshot.tensors),
            "gammas": dict(self._gammas),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from this state."""
        self.best, self.best_update = state["best"], state["best_update"]
        self.updates = state["updates"]
        if state["tensors"] is None:
            self._snapshot = None
            return
        self._keep()
        assert self._snapshot is not None
        for name, tensor in self._snapshot.tensors.items():
            tensor.copy_(state["tensors"][name])
        self._gammas = dict(state["gammas"])

    def _keep(self) -> None:
        self._snapshot = Snapshot(self._model, device=self._device)
        self._gammas = {
            layer: activation.gamma for layer, activation in find_cubic_activations(self._model).items()
        }

    def _better(self, value: float) -> bool:
        if math.isnan(value) or self.best is None:
            return not math.isnan(value)
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.min_delta
