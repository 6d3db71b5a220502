"""What a server says in numbers, as people read it; a dash stands for what is not known."""

from datetime import UTC, datetime

from serve.client.experiments.plan_replies import PlannedGuardrail, PlannedMetric
from serve.client.experiments.replies import Guardrail, Metric
from serve.client.experiments.words import name_word
from serve.experiments.amounts import (
    show_bytes,
    show_count,
    show_microseconds,
    show_number,
    show_quantile,
    show_share,
)

NOTHING = "–"


def show_time(at: int) -> str:
    """The minute, in UTC."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def show_value(metric: Metric | PlannedMetric, value: float | None) -> str:
    """A value of the metric."""
    if value is None:
        return NOTHING
    return show_share(value) if metric.kind == "binary" else show_number(value)


def show_effect(metric: Metric, value: float | None) -> str:
    """A ratio with ×, a difference with its sign, that of shares in percentage points."""
    if value is None:
        return NOTHING
    if metric.scale == "ratio":
        return f"×{show_number(value)}"
    number = show_number(100 * value if metric.is_share else value)
    return f"{'+' if value > 0 else ''}{number}{' pp' if metric.is_share else ''}"


def show_interval(metric: Metric) -> str:
    """From low to high, where an open end is not known yet."""
    if metric.low is None and metric.high is None:
        return NOTHING
    low, high = (
        show_effect(metric, value) if value is not None else "∞" for value in (metric.low, metric.high)
    )
    return f"{'-∞' if metric.low is None else low} … {high}"


def show_harm(guardrail: Guardrail, value: float | None) -> str:
    """What the guardrail watches: a latency, or a share."""
    if value is None:
        return NOTHING
    return show_microseconds(value) if guardrail.kind == "latency" else show_share(value)


def show_assumed_harm(guardrail: PlannedGuardrail) -> str:
    """The harm that a plan assumes: times as slow, or a share."""
    return NOTHING if guardrail.harm is None else _show_extent(guardrail.kind, guardrail.harm)


def show_statement(guardrail: Guardrail) -> str:
    """A harm, and within how many units it stops the candidate."""
    stated = guardrail.stops_within
    if stated is None or stated.units is None:
        return NOTHING
    return f"{_show_extent(guardrail.kind, stated.harm)}: {show_count(stated.units)}"


def _show_extent(kind: str, harm: float) -> str:
    return f"×{show_number(harm)}" if kind == "latency" else show_share(harm)


def show_kind(guardrail: Guardrail | PlannedGuardrail) -> str:
    """The guardrail by name, with its quantile where it has one."""
    return name_word(guardrail.kind) + (
        "" if guardrail.quantile is None else f" {show_quantile(guardrail.quantile)}"
    )


def show_units(value: float | None) -> str:
    """Units, rounded."""
    return NOTHING if value is None else show_count(value)


def show_day_count(value: float | None) -> str:
    """Days with a decimal below ten."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value < 10 else show_count(value)


def show_latency(value: float | None) -> str:
    """A latency in microseconds."""
    return NOTHING if value is None else show_microseconds(value)


def show_memory(value: float | None) -> str:
    """Bytes."""
    return NOTHING if value is None else show_bytes(value)


def show_amount(value: float | None) -> str:
    """Any number."""
    return NOTHING if value is None else show_number(value)


def show_step(percent: float) -> str:
    """The step of a ramp; a dash before it."""
    return f"{percent:g} %" if percent else NOTHING
