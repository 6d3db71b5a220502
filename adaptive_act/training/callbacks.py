"""What the callbacks of trainers have in common: a part that starts with training, and its state."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from torch import nn
from torch.optim import Optimizer

from adaptive_act.training.schedule import Schedules

BuildSchedules = Callable[[nn.Module, Optimizer], Schedules]
"""Makes the schedules once the trainer has its optimizer."""


class Stateful(Protocol):
    """A guard, a monitor, schedules or early stopping."""

    def state_dict(self) -> dict[str, Any]:
        """What it knows of the run."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from where another one was."""


StatefulT = TypeVar("StatefulT", bound=Stateful)


class ResumableCallback(Generic[StatefulT]):
    """Holds a part of a run: none before training starts, and the state that waits for it."""

    def __init__(self) -> None:
        self._part: StatefulT | None = None
        self._waiting: dict[str, Any] = {}

    @property
    def part(self) -> StatefulT:
        """The part; raises RuntimeError before training starts."""
        if self._part is None:
            raise RuntimeError(f"`{type(self).__name__}` has nothing to show before training starts")
        return self._part

    @property
    def started(self) -> bool:
        """Whether training started."""
        return self._part is not None

    def start(self, part: StatefulT) -> None:
        """Holds `part` from now on, with the state that waited for it."""
        if self._waiting:
            part.load_state_dict(self._waiting)
            self._waiting = {}
        self._part = part

    def state_dict(self) -> dict[str, Any]:
        """What the part knows; nothing before training starts."""
        return {} if self._part is None else self._part.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keeps `state` for when training starts."""
        self._waiting = dict(state)
