"""One version's live values: a few runs are kept on the event loop, and counted in another thread."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from time import sleep
from typing import NamedTuple

import numpy as np

from serve.drift.baseline import Baseline
from serve.drift.counting import ROWS
from serve.drift.layers import LayerProbe
from serve.drift.options import DriftOptions
from serve.drift.plan import Drawn, Plan
from serve.drift.window import SlidingWindow
from serve.engine.joining import count_rows
from serve.engine.model import ServedModel
from serve.engine.sampling import Sampler
from serve.engine.signature import Array

MOST_WAITING = 256  # runs
LARGEST_WAITING = 2 * 2**20  # bytes of them
BURST = 4.0  # seconds, whose requests may come at once
_numbers = count(1)


@dataclass(slots=True, weakref_slot=True)
class SampleCounts:
    """What became of runs that were chosen; they go on where another load takes the place of a version."""

    rows: int = 0
    dropped: int = 0
    """Runs that found no room until they could be counted."""


class _Kept(NamedTuple):
    drawn: Drawn
    inputs: Mapping[str, Array] | None
    """Those of a few rows, for what reaches activations."""
    size: int


class Watcher:
    """What is known of a version's live values; its runs are taken on one thread and counted on another."""

    def __init__(
        self, model: ServedModel, baseline: Baseline, options: DriftOptions, counts: SampleCounts
    ) -> None:
        """Nothing is counted yet; `probe` may be set before the first run."""
        self.number = next(_numbers)
        """Larger than that of any watcher before it."""
        self.name = model.name
        self.version = model.version
        self.digest = model.digest
        self.baseline = baseline
        self.counts = counts
        self.plan = Plan(baseline)
        self.probe: LayerProbe | None = None
        self.window = SlidingWindow(len(baseline.series), self.plan.width, options.window_seconds)
        self._sampler = Sampler(options.requests_per_second, BURST * options.requests_per_second)
        self.choose = self._sampler.choose  # one call less for each request
        """Whether it takes a run."""
        self._kept: deque[_Kept] = deque()
        # Each changed by one thread only.
        self._kept_bytes = self._counted_bytes = 0
        self._counting = threading.Lock()
        self._is_stopped = False

    def take(self, inputs: Mapping[str, Array], names: Sequence[str], outputs: Sequence[Array]) -> None:
        """Keep some values of the run until they are counted, if there is room."""
        rows, waiting = count_rows(inputs), self._kept_bytes - self._counted_bytes
        if not rows:
            return
        if self._is_stopped or len(self._kept) >= MOST_WAITING or waiting > LARGEST_WAITING:
            self.counts.dropped += 1
            return
        results = dict(zip(names, outputs, strict=True))
        drawn = {**self.plan.draw("input", inputs, rows), **self.plan.draw("output", results, rows)}
        kept = None
        if self.probe is not None and waiting < LARGEST_WAITING / 2 and self.probe.wants():
            kept = self.probe.keep(inputs, rows)
        arrays = [*drawn.values(), *(kept or {}).values()]
        size = sum(array.nbytes for array in arrays)
        self._kept_bytes += size
        self._kept.append(_Kept(drawn, kept, size))

    def is_of_same_file(self, other: "Watcher") -> bool:
        """Whether both watch one version of one file, so that what they count belongs together."""
        own, others = ((each.name, each.version, each.digest, each.baseline.digest) for each in (self, other))
        return own == others

    def renew(self, seconds: float) -> None:
        """Choose the runs of the next so many seconds by how many there were."""
        self._sampler.renew(seconds)

    def stop(self) -> None:
        """Take no more runs."""
        self._is_stopped = True

    def count(self) -> None:
        """Count what is kept; in pieces, between which other threads run."""
        with self._counting:
            kept = [self._kept.popleft() for _ in range(len(self._kept))]
            if kept:
                self._count(kept)

    def _count(self, kept: Sequence[_Kept]) -> None:
        tallies = np.zeros((len(self.baseline.series), self.plan.width), np.int64)
        for place, pieces in self.plan.list_counts([each.drawn for each in kept] + list(self._probe(kept))):
            tallies[place] = self.plan.count(place, pieces)
            sleep(0)
        self.counts.rows += int(tallies[:, ROWS].max(initial=0))
        self.window.add(tallies)
        self._counted_bytes += sum(each.size for each in kept)

    def _probe(self, kept: Sequence[_Kept]) -> Iterator[Drawn]:
        for each in kept:
            if self.probe is not None and each.inputs is not None:
                yield self.plan.draw("activation", self.probe.run(each.inputs), count_rows(each.inputs))
