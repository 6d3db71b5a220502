"""What the manifest says of tuning. Standard library only, as the manifest."""

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
