"""The manifest's records of tuning and of fewer bits. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One form that was tried in the whole model, in place of another: its time over that one's.

    `low` to `high` is what the noise leaves open.
    """

    kind: str
    where: str
    """What stands around the places: `image after Conv`."""
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
    """A place that takes another form than the provider's table gives it; `value` is what it computes."""

    kind: str
    value: str
    layer: str
    form: str


@dataclass(frozen=True, slots=True)
class SpeedRecord:
    """One run of so many samples, of the untuned and of the tuned graph, in microseconds, and their ratio."""

    batch: int
    untuned: float
    tuned: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """What was timed where, and which forms the file took for it."""

    provider: str
    threads: int
    batches: tuple[int, ...]
    processor: str
    seconds: float
    """What it was given."""
    spent: float
    """What it took of them."""
    noise: float
    """The share of its time by which the untuned graph differed from itself: less does not count."""
    trials: tuple[TrialRecord, ...]
    chosen: tuple[ChosenRecord, ...]
    """Empty where the file is as it would be without tuning."""
    speeds: tuple[SpeedRecord, ...]
    """Of the last comparison of the untuned graph with the one that was chosen; empty where none was."""
    verdict: str
    """What was decided, in words."""


@dataclass(frozen=True, slots=True)
class LossRecord:
    """What one output lost, as shares of its scale: the largest error, and the root mean square."""

    output: str
    scale: float
    largest: float
    typical: float
    agreed: int | None
    """Of `compared` rows of scores, or whole numbers, those that agree; None where it is neither."""
    compared: int
    low: float
    high: float
    """The 95 % interval (Wilson's) of the share that agrees, among samples of this kind."""


@dataclass(frozen=True, slots=True)
class AccuracyRecord:
    """Of so many labelled samples, those that the original and the file get right by this output."""

    output: str
    samples: int
    original: int
    file: int


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A layer in float, and why: the share of the squared error that it took, or what half cannot hold."""

    layer: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoundingRecord:
    """How the numbers were rounded, and the gate that the file passed."""

    method: str
    """fp16, dynamic or static."""
    judged_on: str
    """The samples: given, calibration or generated."""
    samples: int
    calibration_samples: int | None
    """None where the method needs none."""
    max_error: float
    min_agreement: float
    max_accuracy_drop: float
    losses: tuple[LossRecord, ...]
    accuracy: AccuracyRecord | None
    """None where the samples had no labels."""
    kept: tuple[KeptRecord, ...]
    places: int
    """Where it could have been rounded: each activation with the layers that read it."""
