"""Detects a run that diverges, as opposed to one that is only noisy."""

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

LOSS = "loss"
GRADIENT = "gradient norm"
FLOOR = 0.1
"""A signal near zero is compared with this share of its first median, not with its current one."""


@dataclass(frozen=True, slots=True)
class Options:
    """When a signal counts as diverging, how often it is read, and what a rollback changes.

    `loss`, `gradient` and `output` are multiples of a signal's median over its last `window` healthy values;
    nothing counts before `settle` values are known. A signal has to be beyond its limit `patience` steps in
    a row, one that is not finite only once. The outputs of the activations are read every `read_every`
    steps. A state that was seen healthy is kept every `keep_every` steps. Each rollback multiplies the
    activations' rate by `lower`. Gradients are clipped to `clip_norm` if it is given.
    """

    loss: float = 3.0
    gradient: float = 100.0
    output: float = 100.0
    patience: int = 5
    settle: int = 10
    window: int = 100
    read_every: int = 10
    keep_every: int = 50
    lower: float = 0.5
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        counts = {"patience": self.patience, "settle": self.settle, "window": self.window}
        counts |= {"read_every": self.read_every, "keep_every": self.keep_every}
        small = {name: count for name, count in counts.items() if count < 1}
        if small:
            raise ValueError(f"`Options` expects counts of at least 1, got {small}")
        if self.settle > self.window:
            raise ValueError(f"`Options` settles after {self.settle} of only {self.window} remembered values")
        if not 0 <= self.lower <= 1:
            raise ValueError(f"`Options` expects lower from 0 to 1, got {self.lower}")

    def factor(self, signal: str) -> float:
        """The multiple of its median at which `signal` counts as diverging."""
        return {LOSS: self.loss, GRADIENT: self.gradient}.get(signal, self.output)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A signal beyond its limit; `certain` once it was so for long enough, or is not finite."""

    signal: str
    value: float
    limit: float
    certain: bool


class DivergenceDetector:
    """Keeps the normal values of each signal of a run, and compares each step with them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._normal: dict[str, deque[float]] = {}
        self._start: dict[str, float] = {}
        self._beyond = 0

    @property
    def is_unsettled(self) -> bool:
        """Whether the last step was beyond a limit, or too few values are known."""
        return self._beyond > 0 or GRADIENT not in self._start

    def judge(self, signals: Mapping[str, float]) -> Alarm | None:
        """The alarm that the signals raise; without one, their values count as normal."""
        alarm = self._alarm(signals)
        if alarm is None:
            self._beyond = 0
            self._learn(signals)
            return None
        self._beyond += 1
        alarm = replace(alarm, certain=alarm.certain or self._beyond >= self._options.patience)
        if alarm.certain:
            self._beyond = 0
        return alarm

    def state_dict(self) -> dict[str, Any]:
        """The remembered values as plain numbers."""
        normal = {signal: list(values) for signal, values in self._normal.items()}
        return {"normal": normal, "start": dict(self._start), "beyond": self._beyond}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from this state."""
        self._normal = {s: deque(values, self._options.window) for s, values in state["normal"].items()}
        self._start, self._beyond = dict(state["start"]), state["beyond"]

    def _alarm(self, signals: Mapping[str, float]) -> Alarm | None:
        limits = {signal: self._limit(signal) for signal in signals}
        for signal, value in signals.items():
            if not math.isfinite(value):
                return Alarm(signal, value, limits[signal], certain=True)
        for signal, value in signals.items():
            if value > limits[signal]:
                return Alarm(signal, value, limits[signal], certain=False)
        return None

    def _limit(self, signal: str) -> float:
        if signal not in self._start:
            return math.inf
        median = statistics.median(self._normal[signal])
        scale = max(abs(median), FLOOR * abs(self._start[signal]))
        return median + (self._options.factor(signal) - 1) * scale

    def _learn(self, signals: Mapping[str, float]) -> None:
        for signal, value in signals.items():
            values = self._normal.setdefault(signal, deque(maxlen=self._options.window))
            values.append(value)
            if len(values) == self._options.settle:
                self._start.setdefault(signal, statistics.median(values))


def reduce_worst(values: Tensor) -> Tensor:
    """The largest of each value over the processes of a distributed run, infinity for what is not finite."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values
    worst = values.where(values.isfinite(), torch.inf)
    torch.distributed.all_reduce(worst, torch.distributed.ReduceOp.MAX)
    return worst
