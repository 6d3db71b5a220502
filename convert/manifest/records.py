"""The manifest's records of what parity exercised, tuning and lower precision. Standard library only."""

from dataclasses import dataclass
from typing import Literal

from convert.manifest.front import FrontRecord

Strength = Literal["strong", "weak", "unknown"]
SYMMETRIC = "-symmetric"
"""Behind the name of how ranges were chosen where 0 is the middle of those of numbers below and above it."""


@dataclass(frozen=True, slots=True)
class IntegersRecord:
    """The whole numbers that were compared at an input: so many different ones, from `least` to `most`."""

    input: str
    least: int
    most: int
    different: int


@dataclass(frozen=True, slots=True)
class CoverageRecord:
    """What the samples of parity exercised."""

    reasons: tuple[str, ...]
    """Why parity is weak, in words: where the file could be wrong and no sample would show it."""
    weights: int
    """How many weights the model has."""
    tried: int
    """How many of them were changed to see whether an output moves."""
    unseen: tuple[str, ...]
    """Those of them whose change moved none."""
    integers: tuple[IntegersRecord, ...]


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One form tried in the whole model in place of another: the ratio of their times.

    `low` to `high` is its interval.
    """

    kind: str
    where: str
    """The surroundings of the places: `image after Conv`."""
    places: int
    form: str
    instead_of: str
    ratio: float
    low: float
    high: float
    rounds: int
    taken: bool


@dataclass(frozen=True, slots=True)
class ChosenRecord:
    """A place with another form than the provider's table gives; `value` is the name of its output."""

    kind: str
    value: str
    layer: str
    form: str


@dataclass(frozen=True, slots=True)
class SpeedRecord:
    """One run of a batch, untuned and tuned, in microseconds, and the ratio of the times."""

    batch: int
    untuned: float
    tuned: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """What was timed on which machine, and the forms that the file took."""

    provider: str
    threads: int
    batches: tuple[int, ...]
    processor: str
    seconds: float
    """The time allowed for tuning."""
    spent: float
    """The time that it took."""
    noise: float
    """The relative difference between two timings of the untuned graph; a smaller gain does not count."""
    trials: tuple[TrialRecord, ...]
    chosen: tuple[ChosenRecord, ...]
    """Empty where tuning changed nothing."""
    speeds: tuple[SpeedRecord, ...]
    """The last comparison of the untuned graph with the chosen one; empty where none was chosen."""
    verdict: str
    """The decision, in words."""


@dataclass(frozen=True, slots=True)
class LossRecord:
    """The errors of one output as shares of its scale: the largest, and the root mean square."""

    output: str
    scale: float
    largest: float
    typical: float
    agreed: int | None
    """How many of `compared` rows of scores, or integers, agree; None for any other output."""
    compared: int
    low: float
    high: float
    """The 95 % interval (Wilson's) of the share that agrees, among samples of this kind."""


@dataclass(frozen=True, slots=True)
class AccuracyRecord:
    """How many labelled samples the original and the file classify correctly by this output."""

    output: str
    samples: int
    original: int
    file: int
    low: float | None = None
    """The 95 % interval of the drop; None in files from before 1.6."""
    high: float | None = None


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A layer that stays in float, and why: its share of the squared error, or a range beyond half."""

    layer: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoundedSpeedRecord:
    """One run of a batch in float32 and in fewer bits, in microseconds, and the ratio of the times."""

    batch: int
    float32: float
    rounded: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CostRecord:
    """What fewer bits save: the bytes of the weights in float32 and in the file, and the times of both."""

    float32_bytes: int
    bytes: int
    speeds: tuple[RoundedSpeedRecord, ...] = ()
    """On the target of tuning; empty where nothing was tuned, since times make no two files the same."""


@dataclass(frozen=True, slots=True)
class RoundingRecord:
    """How the numbers were rounded, and the budgets that the file kept to."""

    method: str
    """fp16, dynamic, static, weights-int8 or weights-int4."""
    judged_on: str
    """The samples: given, calibration or generated."""
    samples: int
    calibration_samples: int | None
    """None where the method needs no calibration."""
    max_error: float
    min_agreement: float
    max_accuracy_drop: float
    losses: tuple[LossRecord, ...]
    accuracy: AccuracyRecord | None
    """None where the samples had no labels."""
    kept: tuple[KeptRecord, ...]
    places: int
    """How many places could be rounded: an activation with the layers that read it is one."""
    cost: CostRecord | None = None
    """None in files from before 1.6."""
    front: FrontRecord | None = None
    """None where the places were not chosen by time."""
    ranges_by: str | None = None
    """How ranges were chosen: least-error, all, percentile, divergence or all-and-room.

    SYMMETRIC may be behind it. None where calibration data gave none, and in older files.
    """
