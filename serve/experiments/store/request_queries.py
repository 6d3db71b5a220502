"""The inferences of a slice, alone and in pairs."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from serve.experiments.store.slices import FOREVER
from serve.experiments.store.tables import exposures, inferences, outcomes, phases

_control = inferences.alias("control")


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which answers are compared in pairs: those of candidates in shadow with the control's."""

    experiment: str
    comparison: int
    control: str
    label: str | None = None
    """The metric in feedback whose value is a request's true class."""


def is_in_shadow_stage(experiment: str, comparison: int) -> sa.ColumnElement[bool]:
    """Whether an inference is of the stage shadow, in which the control answers the units of all variants."""
    of = phases.c.experiment == experiment, phases.c.comparison == comparison, phases.c.stage == "shadow"
    return inferences.c.phase.in_(sa.select(phases.c.number).where(*of))


def select_requests(experiment: str, comparison: int, start: int, end: int) -> sa.Select[Any]:
    """A row a request, as written.

    When, variant, whether mirrored, whether of the stage shadow, status, NaN, latency, class, unit.
    """
    c, in_shadow = inferences.c, is_in_shadow_stage(experiment, comparison)
    about = (c.written_at, c.variant, c.is_shadow, in_shadow)
    columns = (*about, c.status, c.has_nan, c.latency_us, c.top1, c.unit)
    within = _within(inferences, experiment, comparison, start, end)
    return sa.select(*columns).where(*within).order_by(c.written_at)


def count_requests(experiment: str, comparison: int, start: int, end: int) -> sa.Select[Any]:
    """How many there are."""
    within = _within(inferences, experiment, comparison, start, end)
    return sa.select(sa.func.count()).select_from(inferences).where(*within)


def select_news(experiment: str, comparison: int, since: int) -> sa.Select[Any]:
    """Whether anything that a look weighs was written since a time."""
    news = [
        sa.exists().where(*_within(table, experiment, comparison, since, FOREVER))
        for table in (exposures, inferences)
    ]
    return sa.select(sa.or_(*news, sa.exists().where(outcomes.c.received_at >= since)))


def select_pairs(pairing: Pairing, start: int, end: int) -> sa.Select[Any]:
    """A row an answer in shadow: candidate, its class, the control's, both scores, the true class."""
    shadow = inferences.c
    pair = sa.and_(
        _control.c.request_id == shadow.request_id,
        _control.c.experiment == shadow.experiment,
        _control.c.variant == pairing.control,
        _control.c.status == 0,
    )
    label: sa.ColumnElement[Any] = sa.null()
    if pairing.label is not None:
        last = sa.select(outcomes.c.value).where(
            outcomes.c.request_id == shadow.request_id, outcomes.c.metric == pairing.label
        )
        order = (outcomes.c.event_at.desc(), outcomes.c.received_at.desc(), outcomes.c.key)
        label = last.order_by(*order).limit(1).scalar_subquery()
    columns = (shadow.top1, _control.c.top1, shadow.confidence, _control.c.confidence)
    return (
        sa.select(shadow.variant, *columns, label)
        .select_from(inferences.outerjoin(_control, pair))
        .where(
            *_within(inferences, pairing.experiment, pairing.comparison, start, end),
            shadow.is_shadow == 1,
            shadow.status == 0,
        )
    )


def select_changed_pairs(pairing: Pairing, since: int) -> sa.Select[Any]:
    """The `written_at` of answers in shadow whose request got its true class since a time, and NULL."""
    # The comparison is asked for afterwards, or SQLite would read all of it for each outcome.
    answer = sa.and_(
        inferences.c.request_id == outcomes.c.request_id, inferences.c.experiment == pairing.experiment
    )
    is_pair = (inferences.c.comparison == pairing.comparison) & (inferences.c.is_shadow == 1)
    return (
        sa.select(sa.case((is_pair, inferences.c.written_at)))
        .distinct()
        .select_from(outcomes.outerjoin(inferences, answer))
        .where(outcomes.c.metric == pairing.label, outcomes.c.received_at >= since)
    )


def select_exposed(experiment: str, comparison: int, start: int, end: int) -> sa.Select[Any]:
    """A row a variant: how many units met it first."""
    variant = exposures.c.variant
    within = _within(exposures, experiment, comparison, start, end)
    return sa.select(variant, sa.func.count()).where(*within).group_by(variant)


def select_first_written(experiment: str, comparison: int) -> sa.Select[Any]:
    """When the first exposure was written; NULL without any."""
    where = exposures.c.experiment == experiment, exposures.c.comparison == comparison
    return sa.select(sa.func.min(exposures.c.written_at)).where(*where)


def select_switched(experiment: str, comparison: int) -> sa.Select[Any]:
    """How many units met more than one variant."""
    return sa.select(sa.func.count()).where(
        exposures.c.experiment == experiment,
        exposures.c.comparison == comparison,
        exposures.c.switches > sa.literal_column("0"),  # a parameter could be anything: no partial index
    )


def _within(
    table: sa.Table, experiment: str, comparison: int, start: int, end: int
) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.experiment == experiment,
        table.c.comparison == comparison,
        table.c.written_at >= start,
        table.c.written_at < end,
    )
