"""What a server says of plans, checked as `replies` are."""

from serve.client.experiments.replies import CheckedReply, Count, Number


class PlannedMetric(CheckedReply):
    """What one metric needs; null is never."""

    name: str
    kind: str
    is_primary: bool
    value: Number | None
    detectable: Number | None
    units: Number | None
    units_at_once: Number | None
    days: Number | None


class PlannedGuardrail(CheckedReply):
    """Within how many units the assumed harm stops a candidate."""

    kind: str
    quantile: Number | None
    action: str
    harm: Number | None
    units: Number | None
    days: Number | None


class Assumptions(CheckedReply):
    """What the plan rests on."""

    units_per_day: Number
    change: Number
    power: Number


class Plan(CheckedReply):
    """What an experiment will show."""

    name: str
    planned_units: Count
    days: Number | None
    traffic: str
    assumptions: Assumptions
    metrics: list[PlannedMetric]
    guardrails: list[PlannedGuardrail]
    unplanned_metrics: list[str]
    unplanned_guardrails: list[str]
