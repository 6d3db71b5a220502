"""The base of the trainers' callbacks: a part that starts with training, and its state."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from adaptive_act.training.divergence import Options
from adaptive_act.training.schedule import Schedules

BuildSchedules = Callable[[nn.Module, Optimizer], Schedules]
"""Makes the schedules once the trainer has its optimizer."""


def choose_options(options: Options | None, clips_itself: bool) -> Options:
    """The options that were given, else the default ones, without clipping where the trainer clips."""
    if options is not None:
        return options
    return Options(clip_norm=None) if clips_itself else Options()


def take_sum(losses: list[Tensor]) -> Tensor | None:
    """The sum of the losses of a step's parts, which leave the list; None where there are none."""
    total = sum(losses[1:], losses[0]) if losses else None
    losses.clear()
    return total


class Stateful(Protocol):
    """A guard, a monitor, schedules or early stopping: it saves and loads its state."""

    def state_dict(self) -> dict[str, Any]:
        """The state of the run."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from this state."""


StatefulT = TypeVar("StatefulT", bound=Stateful)


class ResumableCallback(Generic[StatefulT]):
    """A callback around one part, which exists once training starts; a state that was loaded waits for it."""

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
    def is_started(self) -> bool:
        """Whether training started."""
        return self._part is not None

    def start(self, part: StatefulT) -> None:
        """Sets the part and loads the state that waited for it."""
        if self._waiting:
            part.load_state_dict(self._waiting)
            self._waiting = {}
        self._part = part

    def state_dict(self) -> dict[str, Any]:
        """The part's state; empty before training starts."""
        return {} if self._part is None else self._part.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keeps the state until training starts."""
        self._waiting = dict(state)
