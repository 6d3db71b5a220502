"""What all workers have done so far and do now, for those who look on: they take differences of it."""

import os
from asyncio import sleep, to_thread
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from time import process_time, time
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import orjson

from serve.engine.collectors import ANSWERED
from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.metrics import LATENCY_BOUNDS, ROW_BOUNDS, SECOND_BOUNDS
from serve.engine.model import ServedModel
from serve.shared.channel import Json
from serve.shared.process_memory import ProcessMemory
from serve.shared.worker_group import SupervisedWorkerGroup, WorkerGroup

if TYPE_CHECKING:
    from serve.rollout.measuring import VariantMetrics

LIVE = "live"  # what workers are asked
STAGES = ("input", "queue", "compute", "output")
PIECE_VERSIONS = 50  # read in a fraction of a millisecond
ReadVariants: TypeAlias = "Callable[[], Iterable[tuple[str, str, VariantMetrics]]]"


@dataclass(slots=True)
class VersionTotals:
    """What a version of a model has done since the server started, and what waits and runs now."""

    model: str
    version: str
    codes: dict[str, int]
    """The requests answered, by status code."""
    rows: int
    runs: int
    queue: int
    running: int
    latency: list[int]
    """The requests answered within each bound of time, without the zeros at the end."""
    latency_total: float
    """Their seconds."""
    batches: list[int]
    """The runs within each bound of rows, likewise."""
    stages: dict[str, float]
    """The seconds of each stage of the requests."""
    requests: int = 0
    errors: int = 0
    """Those that were not answered as asked, whoever's fault that was."""

    def add(self, other: "VersionTotals") -> None:
        """Add what another process has done."""
        for name in ("rows", "runs", "queue", "running", "latency_total"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.codes = _add_named(self.codes, other.codes)
        self.stages = _add_named(self.stages, other.stages)
        self.latency = _add_counts(self.latency, other.latency)
        self.batches = _add_counts(self.batches, other.batches)

    def count(self) -> None:
        """Set how many requests and errors there were from the codes."""
        self.requests = sum(self.codes.values())
        self.errors = self.requests - sum(self.codes.get(code, 0) for code in ANSWERED)


@dataclass(slots=True)
class VariantTotals:
    """What a variant of an experiment has done since the server started."""

    experiment: str
    variant: str
    outcomes: dict[str, int]
    latency: list[int]
    latency_total: float

    def add(self, other: "VariantTotals") -> None:
        """Add what another process has done."""
        self.outcomes = _add_named(self.outcomes, other.outcomes)
        self.latency = _add_counts(self.latency, other.latency)
        self.latency_total += other.latency_total


@dataclass(slots=True)
class Sums:
    """The answers of workers, added up."""

    versions: dict[tuple[str, str], VersionTotals] = field(default_factory=dict)
    variants: dict[tuple[str, str], VariantTotals] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)

    def add(self, answer: Json) -> None:
        """Add what one worker has done."""
        for record in answer["versions"]:
            version = VersionTotals(*record)
            known = self.versions.setdefault((version.model, version.version), version)
            if known is not version:
                known.add(version)
        for record in answer["variants"]:
            variant = VariantTotals(*record)
            first = self.variants.setdefault((variant.experiment, variant.variant), variant)
            if first is not variant:
                first.add(variant)
        self.rejected = _add_named(self.rejected, answer["rejected"])

    def describe(self) -> Json:
        """The sums by version and variant, in their order."""
        for version in self.versions.values():
            version.count()
        return {
            "rejected": self.rejected,
            "models": [self.versions[key] for key in sorted(self.versions, key=_order_versions)],
            "variants": [self.variants[key] for key in sorted(self.variants)],
        }


class LiveReader:
    """One worker's part; nothing is computed before somebody asks."""

    def __init__(
        self, engine: Engine, workers: WorkerGroup, read_variants: "ReadVariants | None" = None
    ) -> None:
        """From now on every worker can ask for what this one has done."""
        self._engine = engine
        self._workers = workers
        self._read_variants = read_variants or _read_none
        self._began = round(1000 * time())
        self._memory = ProcessMemory(os.getpid())
        supervised = isinstance(workers, SupervisedWorkerGroup)
        self._supervisor = ProcessMemory(os.getppid()) if supervised else None
        workers.register(LIVE, self.read_own)

    async def read(self) -> bytes:
        """What all workers that answer have done, as JSON."""
        answers = await self._workers.broadcast(LIVE)
        sums = Sums()
        for answer in answers:
            sums.add(answer)
            await sleep(0)  # others are answered in between
        memory = [*(answer["memory"] for answer in answers), await self.read_supervisor()]
        return orjson.dumps(
            {
                "at": round(1000 * time()),
                "since": min(answer["began"] for answer in answers),
                "generation": max(answer["began"] for answer in answers),
                "workers": len(answers),
                "memory": None if None in memory else sum(memory),
                "processor": sum(answer["processor"] for answer in answers),
                "latency_ends": LATENCY_BOUNDS,
                "variant_latency_ends": SECOND_BOUNDS,
                "row_ends": ROW_BOUNDS,
                **sums.describe(),
            }
        )

    async def read_supervisor(self) -> int | None:
        """The bytes of the supervisor's memory, 0 without one; None where the kernel does not say."""
        return 0 if self._supervisor is None else await to_thread(self._supervisor.read)

    async def read_own(self) -> Json:
        """What this worker has done, as other workers get it."""
        versions: list[Json] = []
        waiting, running = self._engine.queue_depths(), self._engine.count_running()
        for (name, version), queue in waiting.items():
            try:
                model = self._engine.model(name, version)
            except EngineError:
                continue  # it was unloaded meanwhile
            versions.append(_read_version(model, queue, running.get(model, 0)))
            if len(versions) % PIECE_VERSIONS == 0:
                await sleep(0)
        return {
            "began": self._began,
            "memory": await to_thread(self._memory.read),
            "processor": process_time(),
            "rejected": self._count_rejected(),
            "versions": versions,
            "variants": [
                [experiment, variant, known.count(), _trim(known.answered.counts), known.answered.total]
                for experiment, variant, known in self._read_variants()
            ],
        }

    def _count_rejected(self) -> dict[str, int]:
        samples = (sample for family in self._engine.metrics.rejected.collect() for sample in family.samples)
        return {
            sample.labels["reason"]: int(sample.value) for sample in samples if sample.name.endswith("_total")
        }


def subtract(after: Json, before: Json) -> Json:
    """What was done between two answers of one worker, or until the first one; without what did nothing."""
    before = before or {"versions": [], "variants": [], "rejected": {}, "processor": 0.0}
    pairs = _pair(after["versions"], before["versions"])
    versions = [
        _subtract_version(record, was) for record, was in pairs if record != was or record[5] or record[6]
    ]
    variants = [_subtract_variant(*pair) for pair in _pair(after["variants"], before["variants"])]
    return {
        "memory": after["memory"],
        "processor": max(after["processor"] - before["processor"], 0.0),
        "rejected": _subtract_named(after["rejected"], before["rejected"]),
        "versions": [record for record in versions if record[2] or record[5] or record[6]],
        "variants": [record for record in variants if record[2]],
    }


def _pair(after: Sequence[Json], before: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    """Each record with that of the same names before, None where there was none."""
    known = {(record[0], record[1]): record for record in before}
    return ((record, known.get((record[0], record[1]))) for record in after)


def _subtract_version(after: list[Json], before: list[Json] | None) -> list[Json]:
    """The first members of its `VersionTotals`, without stages and sizes of runs."""
    model, version, codes, rows, runs, queue, running, latency, total, *_ = after
    was = before or [model, version, {}, 0, 0, 0, 0, [], 0.0]
    done = _subtract_named(codes, was[2]), max(rows - was[3], 0), max(runs - was[4], 0)
    return [
        model,
        version,
        *done,
        queue,
        running,
        _subtract_counts(latency, was[7]),
        max(total - was[8], 0.0),
        [],
        {},
    ]


def _subtract_variant(after: list[Json], before: list[Json] | None) -> list[Json]:
    experiment, variant, outcomes, latency, total = after
    was = before or [experiment, variant, {}, [], 0.0]
    done = _subtract_named(outcomes, was[2]), _subtract_counts(latency, was[3])
    return [experiment, variant, *done, max(total - was[4], 0.0)]


def _subtract_named(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    done = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in done.items() if count > 0}


def _subtract_counts(after: Sequence[int], before: Sequence[int]) -> list[int]:
    return _trim([max(one - other, 0) for one, other in zip_longest(after, before, fillvalue=0)])


def _read_version(model: ServedModel, queue: int, running: int) -> list[Json]:
    """The first members of its `VersionTotals`."""
    metrics = model.metrics
    return [
        model.name,
        model.version,
        metrics.count_codes(),
        int(metrics.batch_size.total),
        sum(metrics.batch_size.counts),
        queue,
        running,
        _trim(metrics.latency.counts),
        metrics.latency.total,
        _trim(metrics.batch_size.counts),
        {stage: getattr(metrics, stage).total for stage in STAGES},
    ]


def _trim(counts: Sequence[int]) -> list[int]:
    """The counts without the zeros at the end."""
    last = max((place for place, count in enumerate(counts) if count), default=-1)
    return list(counts[: last + 1])


def _add_counts(first: Sequence[int], second: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip_longest(first, second, fillvalue=0)]


Number = TypeVar("Number", int, float)


def _add_named(first: dict[str, Number], second: dict[str, Number]) -> dict[str, Number]:
    return first | {name: first.get(name, 0) + number for name, number in second.items()}


def _order_versions(key: tuple[str, str]) -> tuple[str, int]:
    return key[0], int(key[1])


def _read_none() -> "Iterable[tuple[str, str, VariantMetrics]]":
    return ()
