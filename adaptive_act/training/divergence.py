"""Detects a run that diverges, as opposed to one that is only noisy."""

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LOSS = "loss"
GRADIENT = "gradient norm"
FLOOR = 0.1
"""A loss near zero is compared with this share of the first one, not with the losses before it."""
USUAL = 0.9
"""The share of the losses before that a diverging run is above. The median of 20 losses is so by chance in
one case of 140,000, whatever their distribution."""
FEWEST = 5
"""With fewer losses before nothing is compared: their median says too little."""


@dataclass(frozen=True, slots=True)
class Options:
    """When a run counts as diverging, what a rollback changes, and how gradients are clipped.

    The last `recent` losses are compared with the `window` losses before them. A run diverges where, in
    their earlier half and in their later half, the median is above `loss` times the median before and above
    nine tenths of the losses before, and the later half is no lower than the earlier one: a loss that comes
    down again is left alone. A loss or a gradient that is not finite counts at once.

    The state is kept every `keep_every` steps. Each rollback multiplies every learning rate by `lower`. The
    norm of all gradients together is clipped to `clip_norm`, unless that is None. The outputs of the
    activations are read every `read_every` steps.
    """

    loss: float = 2.0
    recent: int = 40
    window: int = 100
    keep_every: int = 50
    read_every: int = 10
    lower: float = 0.5
    clip_norm: float | None = 1.0

    def __post_init__(self) -> None:
        if self.recent < 2 or self.window < FEWEST:
            raise ValueError(
                f"`Options` expects at least 2 recent losses and a window of at least {FEWEST}, got "
                f"{self.recent} and {self.window}"
            )
        counts = {"keep_every": self.keep_every, "read_every": self.read_every}
        small = {name: count for name, count in counts.items() if count < 1}
        if small:
            raise ValueError(f"`Options` expects counts of at least 1, got {small}")
        if not self.loss >= 1:
            raise ValueError(f"`Options` expects a loss limit of at least 1, got {self.loss}")
        if not 0 <= self.lower <= 1:
            raise ValueError(f"`Options` expects lower from 0 to 1, got {self.lower}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"`Options` expects a clip_norm above 0, or None, got {self.clip_norm}")


@dataclass(frozen=True, slots=True)
class Alarm:
    """A signal beyond its limit."""

    signal: str
    value: float
    limit: float


class DivergenceDetector:
    """Keeps the last losses of a run, and compares the recent ones with those before."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._first: float | None = None
        self._losses: deque[float] = deque(maxlen=options.window + options.recent)
        self._resumed = 0

    def judge(self, signals: Mapping[str, float]) -> Alarm | None:
        """The alarm that the signals of a step raise."""
        for signal, value in signals.items():
            if not math.isfinite(value):
                return Alarm(signal, value, math.inf)
        if LOSS not in signals:
            return None
        if self._first is None:
            self._first = signals[LOSS]
        self._losses.append(signals[LOSS])
        self._resumed += 1
        return self._compare(self._first)

    def is_new_level(self, alarm: Alarm) -> bool:
        """Whether the loss was beyond the limit from the first step on after a state was loaded.

        In that state the loss was healthy, so what changed is not the model but what it learns from.
        """
        if alarm.signal != LOSS or not FEWEST <= self._resumed <= self._options.recent:
            return False
        first = list(self._losses)[-self._resumed :][:FEWEST]
        return min(first[0], statistics.median(first)) > alarm.limit

    def forget(self) -> None:
        """Starts anew, with no loss known."""
        self._first = None
        self._losses.clear()

    def state_dict(self) -> dict[str, Any]:
        """The remembered losses as plain numbers."""
        return {"first": self._first, "losses": list(self._losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from this state."""
        self._first = state["first"]
        self._losses = deque(state["losses"], self._losses.maxlen)
        self._resumed = 0

    def _compare(self, first: float) -> Alarm | None:
        losses = list(self._losses)
        before, recent = losses[: -self._options.recent], losses[-self._options.recent :]
        if len(before) < FEWEST:
            return None
        half = len(recent) // 2
        earlier, later = statistics.median(recent[:half]), statistics.median(recent[half:])
        limit = self._limit(before, first)
        return Alarm(LOSS, later, limit) if limit < earlier <= later else None

    def _limit(self, before: list[float], first: float) -> float:
        median = statistics.median(before)
        scale = max(abs(median), FLOOR * abs(first))
        usual = sorted(before)[math.ceil(USUAL * len(before)) - 1]
        return max(median + (self._options.loss - 1) * scale, usual)


def reduce_worst(values: Tensor) -> Tensor:
    """The largest of each value over the processes of a distributed run, infinity for what is not finite."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values
    worst = values.where(values.isfinite(), torch.inf)
    torch.distributed.all_reduce(worst, torch.distributed.ReduceOp.MAX)
    return worst
