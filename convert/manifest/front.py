"""The record of the files that were tried from float32 to int8, by loss and time. Standard library only."""

from dataclasses import dataclass

MOST_POINTS = 16
"""More than are ever tried: no more are shown."""


@dataclass(frozen=True, slots=True)
class FrontPointRecord:
    """One file, of which `places` are in int8; none is float32 itself."""

    places: int
    ratio: float
    """Its time over float32's: of several batches the geometric mean."""
    low: float
    high: float
    """The interval of the ratio."""
    microseconds: tuple[float, ...]
    """Of one run, by batch."""
    error: float
    """Root mean square, as a share of the outputs' scale."""
    largest: float
    """The largest error, as a share of its output's scale."""
    agreement: float | None
    """The least share of rows of scores, or whole numbers, that agree; None where none is judged."""
    drop: float | None
    """Of accuracy on labelled samples; None, as its interval's ends, without labels."""
    drop_low: float | None
    drop_high: float | None
    passes: bool
    """Whether it keeps the budgets."""
    is_best: bool
    """Whether no other file is better in time and loss."""


@dataclass(frozen=True, slots=True)
class FrontRecord:
    """How the places to round were chosen: the files that were tried, and the machine that timed them."""

    rule: str
    """fastest or knee."""
    by_accuracy: bool
    """Whether the loss is the drop of accuracy, rather than the root mean square error."""
    provider: str
    threads: int
    batches: tuple[int, ...]
    processor: str
    seconds: float
    """The time allowed."""
    spent: float
    """The time that it took."""
    groups: int
    """As many groups of neighbouring places were put in order."""
    points: tuple[FrontPointRecord, ...]
    """From float32 on, by how much is in int8."""
    knee: int | None
    """The place of the knee among the points; None where there is none."""
    chosen: int
    """The place of the file that was written."""
