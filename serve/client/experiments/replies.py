"""What a server says of experiments, checked before it is shown: fields that are not known are left out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.client.errors import InvalidReplyError
from serve.client.replies import Json

R = TypeVar("R", bound="_Reply")

LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
Time: TypeAlias = Annotated[int, Field(ge=0, le=LATEST)]
"""Microseconds since 1970, UTC."""
Number: TypeAlias = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=10**18)]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Variant(_Reply):
    """One of what is compared."""

    name: str
    model: str | None = None
    version: str | None = None


class Definition(_Reply):
    """What is shown of a definition."""

    model: str
    control: Variant
    candidates: list[Variant]
    planned_units: Count
    alpha: Number


class Pin(_Reply):
    """The version that stands for a variant as long as the comparison lasts."""

    model: str
    version: str
    digest: str = ""


class Phase(_Reply):
    """A time during which nothing of the experiment changed."""

    number: Count
    comparison: Count
    stage: str
    step_percent: Number
    started_at: Time
    by: str
    reason: str
    promoted: str | None = None
    pins: dict[str, Pin] = {}


class Experiment(_Reply):
    """An experiment as it is now."""

    name: str
    revision: Count
    phase: Phase
    possible: list[str]
    definition: Definition


class ExperimentList(_Reply):
    """Every experiment."""

    experiments: list[Experiment]


class VariantValue(_Reply):
    """A metric's value of one variant."""

    name: str
    value: Number | None
    units: Count


class Metric(_Reply):
    """One metric of one candidate beside the control; null is an open end."""

    name: str
    kind: str
    is_primary: bool
    candidate: str
    variants: list[VariantValue]
    scale: str
    of_failures: bool = False
    """Whether values and effect are of the units without success, although the metric counts successes."""
    effect: Number | None
    low: Number | None
    high: Number | None
    log_e: Number | None
    finding: str
    looks: Count

    @property
    def is_share(self) -> bool:
        """Whether the effect is in shares of units, which are shown as percentage points."""
        return self.kind == "binary" and self.scale == "difference"

    @property
    def no_effect(self) -> float:
        """The effect of two variants that are equal."""
        return 1.0 if self.scale == "ratio" else 0.0


class Statement(_Reply):
    """Within how many units a harm stops a candidate, in this share of experiments; null is never."""

    harm: Number
    units: Number | None
    share: Number


class Guardrail(_Reply):
    """One guardrail of one candidate."""

    kind: str
    quantile: Number | None
    candidate: str
    margin: Number
    action: str
    control_value: Number | None
    value: Number | None
    log_e: Number | None
    is_shown: bool
    stops_within: Statement | None = None


class SampleRatio(_Reply):
    """The units of each variant, and whether the split is not the designed one."""

    units: dict[str, Count]
    log_e: Number | None
    is_alarm: bool
    crossed_units: Count


class Estimate(_Reply):
    """A value with its interval."""

    effect: Number | None
    low: Number | None
    high: Number | None
    units: Count


class Shadow(_Reply):
    """What the pairs of shadow show."""

    candidate: str
    agreement: Estimate
    only_control: Count
    only_candidate: Count


class Progress(_Reply):
    """How far the plan is fulfilled."""

    units: Count
    planned_units: Count
    open_units: Count
    days_to_go: Number | None


class Cost(_Reply):
    """What a variant takes."""

    latency_us: dict[str, Number | None]
    model_bytes: Number | None
    run_seconds_per_thousand: Number | None
    cpu_seconds_per_thousand: Number | None
    price_per_million: Number | None


class Results(_Reply):
    """The verdict and what it rests on."""

    verdict: str
    sentence: str
    candidate: str
    metrics: list[Metric]
    guardrails: list[Guardrail]
    sample_ratio: SampleRatio
    shadow: list[Shadow] = []
    progress: Progress
    costs: dict[str, Cost]


class Look(_Reply):
    """What a look has shown."""

    at: Time
    results: Results


class Looks(_Reply):
    """Looks over time, the oldest first."""

    looks: list[Look]


class Phases(_Reply):
    """All phases, the first one first."""

    phases: list[Phase]


class AuditEntry(_Reply):
    """Who did what, when."""

    at: Time
    by: str
    action: str
    detail: str


class Audit(_Reply):
    """The audit trail, the newest entry first."""

    entries: list[AuditEntry]


class PlannedMetric(_Reply):
    """What one metric needs; null is never."""

    name: str
    kind: str
    is_primary: bool
    value: Number | None
    detectable: Number | None
    units: Number | None
    units_at_once: Number | None
    days: Number | None


class PlannedGuardrail(_Reply):
    """Within how many units the assumed harm stops a candidate."""

    kind: str
    quantile: Number | None
    action: str
    harm: Number | None
    units: Number | None
    days: Number | None


class Assumptions(_Reply):
    """What the plan rests on."""

    units_per_day: Number
    change: Number
    power: Number


class Plan(_Reply):
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


class Refused(_Reply):
    """Why an outcome was not stored."""

    place: Count
    reason: str


class Receipt(_Reply):
    """What became of outcomes."""

    new: Count
    duplicate: Count
    refused: Count
    reasons: list[Refused]
    unmatched: Count = 0


def read(kind: type[R], reply: Mapping[str, Json]) -> R:
    """The reply as its kind; raises `InvalidReplyError`, which names the first field that is wrong."""
    try:
        return kind.model_validate(reply)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidReplyError(f"the reply's `{where}` is not as expected: {first['msg']}") from error
