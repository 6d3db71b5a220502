"""The outcomes of a slice of units, one row a unit.

The joins are outer ones for the sake of SQLite, which without statistics of a table otherwise begins with the
wrong one and reads all of it; an outer join is read from its left side.
"""

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from serve.experiments.request_ids import number_comparison
from serve.experiments.store.request_queries import is_in_shadow_stage
from serve.experiments.store.tables import exposures, inferences, outcomes

ROUNDED = 1_000_000
"""Microseconds by which an outcome may seem to come before the exposure: times are often whole seconds."""


@dataclass(frozen=True, slots=True)
class OutcomeQuery:
    """Which outcomes of a comparison's units are summed up, and how those of one unit become one value."""

    experiment: str
    comparison: int
    metric: str
    kind: Literal["binary", "mean", "ratio", "quantile"]
    """binary: whether one is above 0; mean, quantile: as `per_unit` says; ratio: their sum and the
    denominator's."""
    window: int | None = None
    """Microseconds after a unit's first exposure in which outcomes count; None for all."""
    denominator: str | None = None
    """The other metric of a ratio."""
    covariate: str | None = None
    """The variant whose first score of the unit is the covariate (CUPED), for binary and mean."""
    is_absent_zero: bool = False
    """Whether a unit without an outcome counts as one with the outcome 0, or is left out."""
    per_unit: Literal["mean", "sum"] = "mean"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics in feedback that count."""
        return (self.metric, self.denominator) if self.denominator else (self.metric,)


def select_units(query: OutcomeQuery, start: int, end: int, now: int) -> sa.Select[Any]:
    """A row a unit whose window has closed: variant, number, sum and greatest of its outcomes, x, early ones.

    x is the sum of the denominator's outcomes, or the covariate; NULL where there is none.
    """
    units = _Units(query, start, end, now)
    parts = [_events_of_requests(units), _events_of_issued(units), _events_of_units(units)]
    if query.covariate is not None:
        parts.append(_first_scores(units))
    rows = sa.union_all(*parts).subquery("parts").c
    sums = (sa.func.sum(rows.number), sa.func.sum(rows.value), sa.func.max(rows.value), sa.func.sum(rows.x))
    return sa.select(sa.func.max(rows.variant), *sums, sa.func.sum(rows.early)).group_by(rows.unit)


def select_open_units(query: OutcomeQuery, start: int, end: int, now: int) -> sa.Select[Any]:
    """A row a variant: how many units have an open window, and when the first of them closes."""
    assert query.window is not None
    closes = exposures.c.first_at + query.window
    return (
        sa.select(exposures.c.variant, sa.func.count(), sa.func.min(closes))
        .where(*_within(query, start, end), closes > now)
        .group_by(exposures.c.variant)
    )


def select_changes(query: OutcomeQuery, since: int) -> sa.CompoundSelect[Any]:
    """The `written_at` of units that got an outcome since a time: by their name, or by a request's."""
    # The comparison is asked for in the second join only, or SQLite would read all of it for each outcome.
    of_request = sa.and_(
        inferences.c.request_id == outcomes.c.request_id,
        inferences.c.experiment == query.experiment,
        outcomes.c.unit.is_(None),
    )
    answered_by = _is_unit(query, inferences.c.unit) & (inferences.c.comparison == query.comparison)
    counts = outcomes.c.metric.in_(query.metrics)
    is_new = outcomes.c.received_at >= since
    at = sa.select(exposures.c.written_at)
    return sa.union(
        at.select_from(outcomes.outerjoin(exposures, _is_unit(query, outcomes.c.unit))).where(counts, is_new),
        at.select_from(outcomes.outerjoin(inferences, of_request).outerjoin(exposures, answered_by)).where(
            counts, is_new
        ),
        # Feedback may have come before its inference was written.
        at.select_from(
            inferences.outerjoin(outcomes, sa.and_(of_request, counts)).outerjoin(
                exposures, answered_by & outcomes.c.key.is_not(None)
            )
        ).where(*_is_answer(query), inferences.c.written_at >= since),
    )


def select_reported(query: OutcomeQuery, since: int, before: int, most: int) -> sa.Select[Any]:
    """A row a unit or request with outcomes reported between two times, whether or not it met an experiment.

    Of the newest outcomes, `most` at most; the columns are those of `select_units`, without the variant.
    """
    newest = (
        sa.select(outcomes)
        .where(outcomes.c.received_at >= since, outcomes.c.received_at < before)
        .where(outcomes.c.metric.in_(query.metrics))
        .order_by(outcomes.c.received_at.desc())
        .limit(most)
        .subquery("newest")
    )
    ranked = sa.select(newest, _rank(newest).label("place")).subquery("ranked").c
    number, value, x = _split(query, ranked.metric, ranked.value)
    sums: list[sa.ColumnElement[Any]] = [sa.func.sum(number), sa.func.sum(value), sa.func.max(value)]
    sums += [sa.func.sum(x), _NOT_EARLY]
    is_counted = (ranked.place == 1) | ranked.request_id.is_(None)
    alone = sa.case((ranked.unit.is_(None), ranked.request_id))
    return sa.select(*sums).where(is_counted).group_by(ranked.unit, alone)


@dataclass(frozen=True, slots=True)
class _Units:
    """The units of a slice whose window has closed."""

    query: OutcomeQuery
    start: int
    end: int
    now: int

    @property
    def where(self) -> tuple[sa.ColumnElement[bool], ...]:
        where = _within(self.query, self.start, self.end)
        return where if self.query.window is None else (*where, self.closes <= self.now)

    @property
    def closes(self) -> sa.ColumnElement[int]:
        return exposures.c.first_at + self.query.window

    def counts(self, *targets: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        """Whether an outcome is of the target, of one of the metrics, and within the window."""
        which = (*targets, outcomes.c.metric.in_(self.query.metrics))
        return sa.and_(*which, *(() if self.query.window is None else (outcomes.c.event_at < self.closes,)))


_NOT_EARLY = sa.literal(0).label("early")
"""A request's outcomes come after it."""


def _events_of_requests(units: _Units) -> sa.Select[Any]:
    """The last outcome of each metric of the units' stored requests; a row for a unit without any, too."""
    query = units.query
    answers = sa.and_(
        *_is_answer(query),
        inferences.c.unit == exposures.c.unit,
        inferences.c.is_shadow == 0,
        # In shadow the control answered, whichever variant the unit met later.
        sa.not_(is_in_shadow_stage(query.experiment, query.comparison)),
    )
    of_request = units.counts(outcomes.c.request_id == inferences.c.request_id, outcomes.c.unit.is_(None))
    columns = (exposures.c.unit, exposures.c.variant, outcomes.c.metric, outcomes.c.value)
    ranked = (
        sa.select(*columns, _rank(outcomes).label("place"))
        .select_from(exposures.outerjoin(inferences, answers).outerjoin(outcomes, of_request))
        .where(*units.where)
        .subquery("ranked")
        .c
    )
    is_last = (ranked.place == 1) | ranked.metric.is_(None)
    values = _split(query, ranked.metric, ranked.value)
    return sa.select(ranked.unit, ranked.variant, *values, _NOT_EARLY).where(is_last)


def _events_of_issued(units: _Units) -> sa.Select[Any]:
    """The last outcome of each metric of the units' requests whose ids say whose they are."""
    number = number_comparison(units.query.experiment, units.query.comparison)
    of_unit = units.counts(outcomes.c.unit == exposures.c.unit, outcomes.c.number == number)
    columns = (exposures.c.unit, exposures.c.variant, outcomes.c.metric, outcomes.c.value)
    ranked = (
        sa.select(*columns, _rank(outcomes).label("place"))
        .select_from(exposures.outerjoin(outcomes, of_unit))
        .where(*units.where)
        .subquery("issued")
        .c
    )
    values = _split(units.query, ranked.metric, ranked.value)
    is_last = (ranked.place == 1) & ranked.metric.is_not(None)
    return sa.select(ranked.unit, ranked.variant, *values, _NOT_EARLY).where(is_last)


def _rank(table: sa.FromClause) -> sa.ColumnElement[int]:
    """1 for the last outcome of each request and metric, whichever came first."""
    c = table.c
    order = (c.event_at.desc(), c.received_at.desc(), c.key)
    return sa.func.row_number().over(partition_by=(c.request_id, c.metric), order_by=order)


def _events_of_units(units: _Units) -> sa.Select[Any]:
    """The outcomes that name the units; those from before their first exposure are only counted."""
    of_unit = units.counts(outcomes.c.unit == exposures.c.unit, outcomes.c.request_id.is_(None))
    is_early = outcomes.c.event_at <= exposures.c.first_at - ROUNDED
    metric = sa.case((is_early, None), else_=outcomes.c.metric)
    values = _split(units.query, metric, outcomes.c.value)
    early = sa.case((is_early, 1), else_=0).label("early")
    return (
        sa.select(exposures.c.unit, exposures.c.variant, *values, early)
        .select_from(exposures.outerjoin(outcomes, of_unit))
        .where(*units.where)
    )


def _split(
    query: OutcomeQuery, metric: sa.ColumnElement[str], value: sa.ColumnElement[float]
) -> tuple[sa.ColumnElement[Any], ...]:
    """Whether it is of the metric itself, its value then, and the value of the denominator's."""
    return (
        sa.case((metric == query.metric, 1), else_=0).label("number"),
        sa.case((metric == query.metric, value)).label("value"),
        sa.case((metric == query.denominator, value)).label("x"),
    )


def _first_scores(units: _Units) -> sa.Select[Any]:
    """A row a unit: the score that the covariate's variant gave it first, before any effect."""
    scored = sa.and_(
        *_is_answer(units.query),
        inferences.c.unit == exposures.c.unit,
        inferences.c.variant == units.query.covariate,
        inferences.c.confidence.is_not(None),
    )
    order = (inferences.c.at, inferences.c.request_id)
    place = sa.func.row_number().over(partition_by=exposures.c.unit, order_by=order)
    ranked = (
        sa.select(exposures.c.unit, exposures.c.variant, inferences.c.confidence, place.label("place"))
        .select_from(exposures.outerjoin(inferences, scored))
        .where(*units.where)
        .subquery("scores")
    )
    columns = (sa.literal(0), sa.null(), ranked.c.confidence, _NOT_EARLY)
    return sa.select(ranked.c.unit, ranked.c.variant, *columns).where(ranked.c.place == 1)


def _within(query: OutcomeQuery, start: int, end: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        exposures.c.experiment == query.experiment,
        exposures.c.comparison == query.comparison,
        exposures.c.written_at >= start,
        exposures.c.written_at < end,
    )


def _is_unit(query: OutcomeQuery, unit: sa.ColumnElement[bytes]) -> sa.ColumnElement[bool]:
    return sa.and_(
        exposures.c.experiment == query.experiment,
        exposures.c.comparison == query.comparison,
        exposures.c.unit == unit,
    )


def _is_answer(query: OutcomeQuery) -> tuple[sa.ColumnElement[bool], ...]:
    return inferences.c.experiment == query.experiment, inferences.c.comparison == query.comparison
