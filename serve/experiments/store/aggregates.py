"""What is kept of the rows of a slice: mergeable, and constant in size."""

from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments
from serve.experiments.statistics.shifts import OTHER_CLASSES
from serve.experiments.store.outcome_queries import OutcomeQuery

MAX_CLASSES = 1000
"""Classes whose predictions are counted one by one; the others are counted together as OTHER_CLASSES."""
MAX_EVENTS = 100_000
"""Units with an error, or with NaN, that are told apart: harm is shown long before."""

Sample = Counts | Moments | PairMoments | LogHistogram


Columns = dict[str, NDArray[np.float64]]
"""The columns of rows; NaN stands for NULL."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of one variant's units."""

    sample: Sample
    """Of binary Counts, mean Moments, quantile LogHistogram; ratio or covariate PairMoments (y, x)."""
    units: int = 0
    """Units that met the variant, whether their window has closed or not."""
    open_units: int = 0
    """Those whose window has not closed: they are in no sample yet."""
    without: int = 0
    """Those whose window has closed without an outcome, or without a covariate."""
    early: int = 0
    """Outcomes that do not count: they happened before their unit's first exposure."""

    def merge(self, other: Self) -> "Outcomes":
        """Both together."""
        return Outcomes(
            self.sample.merge(other.sample),  # type: ignore[arg-type]  # of one kind in a query
            self.units + other.units,
            self.open_units + other.open_units,
            self.without + other.without,
            self.early + other.early,
        )


def shorten_unit(unit: bytes) -> int:
    """A number for a unit that float64 holds exactly; two of 100,000 share one once in 50,000 times."""
    return int.from_bytes(unit[-6:])


@dataclass(frozen=True, slots=True)
class UnitEvents:
    """Units, and which of them had an event: requests of one unit fail together, so that it counts once."""

    units: int = 0
    """A unit counts once in each slice that it has requests in."""
    with_event: frozenset[int] = frozenset()
    """By their short numbers, MAX_EVENTS of them at most."""

    @classmethod
    def of(cls, units: int, with_event: AbstractSet[int]) -> "UnitEvents":
        """So many units, with those among them that had an event."""
        return cls(units, frozenset(islice(sorted(with_event), MAX_EVENTS)))

    @property
    def counts(self) -> Counts:
        """How many units there are, and how many with an event."""
        events = len(self.with_event)
        return Counts(float(max(self.units, events)), float(events))

    def merge(self, other: Self) -> "UnitEvents":
        """Both together."""
        return UnitEvents.of(self.units + other.units, self.with_event | other.with_event)


class Answers(NamedTuple):
    """Which inferences are summed up together."""

    variant: str
    is_shadow: bool
    """Whether they were mirrored, so that no client waited."""
    in_shadow_stage: bool = False
    """Whether they are of the stage shadow: there the control answers the units of all variants, so these
    answers of it are not those of its own share."""


@dataclass(frozen=True, slots=True)
class Requests:
    """The inferences of one variant."""

    errors: UnitEvents
    """Units, and those of which a request failed."""
    nans: UnitEvents
    """Units with an answer, and those of which one held NaN or an infinity."""
    latency: LogHistogram
    """In microseconds, of the first answer to each unit; a unit counts as of `UnitEvents`."""
    top1: dict[int, int] = field(default_factory=dict)
    """How often each class was the most probable one, in the same answers."""

    def merge(self, other: Self) -> "Requests":
        """Both together."""
        return Requests(
            self.errors.merge(other.errors),
            self.nans.merge(other.nans),
            self.latency.merge(other.latency),
            bound_classes(Counter(self.top1) + Counter(other.top1)),
        )


@dataclass(frozen=True, slots=True)
class Pairs:
    """Requests that the control and a candidate in shadow both answered."""

    agreements: Counts
    """Pairs with classes, and how many of them name the same one."""
    scores: Moments
    """Of the candidate's confidence less the control's."""
    only_control: int = 0
    """Of pairs whose true class was reported: those that only the control got right."""
    only_candidate: int = 0
    labelled: int = 0
    answered: int = 0
    """Requests that the candidate has answered, also where answers have no classes."""

    def merge(self, other: Self) -> "Pairs":
        """Both together."""
        return Pairs(
            self.agreements.merge(other.agreements),
            self.scores.merge(other.scores),
            self.only_control + other.only_control,
            self.only_candidate + other.only_candidate,
            self.labelled + other.labelled,
            self.answered + other.answered,
        )


def summarise_units(query: OutcomeQuery, values: Columns) -> Outcomes:
    """The outcomes of units whose windows have closed."""
    number, total, x = np.nan_to_num(values["number"]), np.nan_to_num(values["total"]), values["x"]
    has_outcome = (number > 0) | query.is_absent_zero
    if query.kind == "ratio":
        has_outcome = ~np.isnan(x)
    elif query.covariate is not None:
        has_outcome &= ~np.isnan(x)
    if query.kind == "binary":
        y = (np.nan_to_num(values["greatest"], nan=-1.0) > 0).astype(np.float64)
    else:
        is_sum = query.kind == "ratio" or query.per_unit == "sum"
        y = total if is_sum else total / np.maximum(number, 1)
    y, x = y[has_outcome], x[has_outcome]
    units = len(number)
    early = int(np.nansum(values["early"]))
    return Outcomes(_sample(query, y, x), units=units, without=units - len(y), early=early)


def _sample(query: OutcomeQuery, y: NDArray[np.float64], x: NDArray[np.float64]) -> Sample:
    if query.kind == "ratio" or query.covariate is not None:
        return PairMoments.of(y, x)
    if query.kind == "binary":
        return Counts(float(len(y)), float(y.sum()))
    return Moments.of(y) if query.kind == "mean" else LogHistogram.of(y)


def bound_classes(counts: Counter[int]) -> dict[int, int]:
    """The counts of MAX_CLASSES classes, and that of all others together."""
    if len(counts) <= MAX_CLASSES:
        return dict(counts)
    others = counts.pop(OTHER_CLASSES, 0)
    kept = dict(sorted(counts.items())[:MAX_CLASSES])
    return {**kept, OTHER_CLASSES: others + counts.total() - sum(kept.values())}


def summarise_pairs(values: Columns) -> Pairs:
    """The answers of one candidate and the control to the same requests."""
    candidate, control, label = values["class"], values["control_class"], values["label"]
    has_classes = ~np.isnan(candidate) & ~np.isnan(control)
    differences = values["score"] - values["control_score"]
    labelled = has_classes & ~np.isnan(label)
    right, control_right = candidate[labelled] == label[labelled], control[labelled] == label[labelled]
    return Pairs(
        agreements=Counts(float(has_classes.sum()), float((candidate == control)[has_classes].sum())),
        scores=Moments.of(differences[~np.isnan(differences)]),
        only_control=int((control_right & ~right).sum()),
        only_candidate=int((right & ~control_right).sum()),
        labelled=int(labelled.sum()),
        answered=len(candidate),
    )
