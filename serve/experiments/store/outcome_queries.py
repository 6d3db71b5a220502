"""The outcomes of a slice of units, one row a unit."""

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from serve.experiments.store.tables import exposures, inferences, outcomes


@dataclass(frozen=True, slots=True)
class OutcomeQuery:
    """Which outcomes of a comparison's units are summed up, and how those of one unit become one value."""

    experiment: str
    comparison: int
    metric: str
    kind: Literal["binary", "mean", "ratio", "quantile"]
    """binary: whether one is above 0; mean, quantile: their mean; ratio: their sum and the denominator's."""
    window: int | None = None
    """Microseconds after a unit's first exposure in which outcomes count; None for all."""
    denominator: str | None = None
    """The other metric of a ratio."""
    covariate: str | None = None
    """The variant whose first score of the unit is the covariate (CUPED), for binary and mean."""
    is_absent_zero: bool = False
    """Whether a unit without an outcome counts as one with the outcome 0, or is left out."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics in feedback that count."""
        return (self.metric, self.denominator) if self.denominator else (self.metric,)


def select_units(query: OutcomeQuery, start: int, end: int, now: int) -> sa.Select[Any]:
    """A row a unit whose window has closed: variant, number, sum and greatest of its outcomes, x.

    x is the sum of the denominator's outcomes, or the covariate; NULL where there is none.
    """
    units = _units_of(query, start, end)
    if query.window is not None:
        units = units.where(exposures.c.first_at + query.window <= now)
    units_table = units.cte("units")
    sums = _sum_up(query, units_table)
    chosen = (units_table.c.variant, sums.c.number, sums.c.total, sums.c.greatest)
    joined = units_table.outerjoin(sums, sums.c.unit == units_table.c.unit)
    if query.covariate is None:
        return sa.select(*chosen, sums.c.other).select_from(joined)
    scores = _first_scores(query, units_table)
    joined = joined.outerjoin(scores, sa.and_(scores.c.unit == units_table.c.unit, scores.c.place == 1))
    return sa.select(*chosen, scores.c.confidence).select_from(joined)


def select_open_units(query: OutcomeQuery, start: int, end: int, now: int) -> sa.Select[Any]:
    """A row a variant: how many units have an open window, and when the first of them closes."""
    assert query.window is not None
    units = _units_of(query, start, end).where(exposures.c.first_at + query.window > now).subquery()
    closes = sa.func.min(units.c.first_at) + query.window
    return sa.select(units.c.variant, sa.func.count(), closes).group_by(units.c.variant)


def select_changes(query: OutcomeQuery, since: int) -> sa.CompoundSelect[Any]:
    """The `written_at` of units that got an outcome since a time: by their name, or by a request's."""
    here = (exposures.c.experiment == query.experiment, exposures.c.comparison == query.comparison)
    counts = outcomes.c.metric.in_(query.metrics)
    by_request = (
        inferences.c.request_id == outcomes.c.request_id,
        inferences.c.experiment == query.experiment,
        inferences.c.comparison == query.comparison,
        exposures.c.unit == inferences.c.unit,
    )
    at = sa.select(exposures.c.written_at).where(*here, counts)
    return sa.union(
        at.where(outcomes.c.received_at >= since, exposures.c.unit == outcomes.c.unit),
        at.where(outcomes.c.received_at >= since, *by_request),
        # Feedback may have come before its inference was written.
        at.where(inferences.c.written_at >= since, *by_request),
    )


def _units_of(query: OutcomeQuery, start: int, end: int) -> sa.Select[Any]:
    return sa.select(exposures.c.unit, exposures.c.variant, exposures.c.first_at).where(
        exposures.c.experiment == query.experiment,
        exposures.c.comparison == query.comparison,
        exposures.c.written_at >= start,
        exposures.c.written_at < end,
    )


def _sum_up(query: OutcomeQuery, units: sa.CTE) -> sa.Subquery:
    """A row a unit with outcomes."""
    requests = _of_requests(query, units).subquery("ranked")
    last = sa.select(requests.c.unit, requests.c.metric, requests.c.value).where(requests.c.place == 1)
    events = sa.union_all(last, _of_units(query, units)).subquery("events")
    value = sa.case((events.c.metric == query.metric, events.c.value))
    other = sa.case((events.c.metric == query.denominator, events.c.value))
    return (
        sa.select(
            events.c.unit,
            sa.func.count(value).label("number"),
            sa.func.sum(value).label("total"),
            sa.func.max(value).label("greatest"),
            sa.func.sum(other).label("other"),
        )
        .group_by(events.c.unit)
        .subquery("sums")
    )


def _of_requests(query: OutcomeQuery, units: sa.CTE) -> sa.Select[Any]:
    """The outcomes of the units' requests; of several of one request and metric, the last has place 1."""
    place = sa.func.row_number().over(
        partition_by=(outcomes.c.request_id, outcomes.c.metric),
        order_by=(outcomes.c.event_at.desc(), outcomes.c.received_at.desc(), outcomes.c.key),
    )
    chosen = sa.select(units.c.unit, outcomes.c.metric, outcomes.c.value, place.label("place")).where(
        inferences.c.experiment == query.experiment,
        inferences.c.comparison == query.comparison,
        inferences.c.unit == units.c.unit,
        inferences.c.is_shadow == 0,
        outcomes.c.request_id == inferences.c.request_id,
        outcomes.c.metric.in_(query.metrics),
    )
    return chosen if query.window is None else chosen.where(outcomes.c.event_at < _close(query, units))


def _of_units(query: OutcomeQuery, units: sa.CTE) -> sa.Select[Any]:
    """The outcomes that name the units, since their first exposure."""
    chosen = sa.select(units.c.unit, outcomes.c.metric, outcomes.c.value).where(
        outcomes.c.unit == units.c.unit,
        outcomes.c.metric.in_(query.metrics),
        outcomes.c.event_at >= units.c.first_at,
    )
    return chosen if query.window is None else chosen.where(outcomes.c.event_at < _close(query, units))


def _close(query: OutcomeQuery, units: sa.CTE) -> sa.ColumnElement[Any]:
    return units.c.first_at + query.window


def _first_scores(query: OutcomeQuery, units: sa.CTE) -> sa.Subquery:
    """The scores that the covariate's variant gave; the first of a unit, before any effect, has place 1."""
    order = (inferences.c.at, inferences.c.request_id)
    place = sa.func.row_number().over(partition_by=inferences.c.unit, order_by=order)
    return (
        sa.select(inferences.c.unit, inferences.c.confidence, place.label("place"))
        .where(
            inferences.c.experiment == query.experiment,
            inferences.c.comparison == query.comparison,
            inferences.c.unit == units.c.unit,
            inferences.c.variant == query.covariate,
            inferences.c.confidence.is_not(None),
        )
        .subquery("scores")
    )
