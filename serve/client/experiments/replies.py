"""What a server says of experiments, checked before it is shown: fields that are not known are left out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.client.errors import InvalidReplyError
from serve.client.replies import Json

R = TypeVar("R", bound="CheckedReply")

LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
Time: TypeAlias = Annotated[int, Field(ge=0, le=LATEST)]
"""Microseconds since 1970, UTC."""
Number: TypeAlias = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=10**18)]


class CheckedReply(BaseModel):
    """What all replies share."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Variant(CheckedReply):
    """One of what is compared."""

    name: str
    model: str | None = None
    version: str | None = None


class Definition(CheckedReply):
    """What is shown of a definition."""

    model: str
    control: Variant
    candidates: list[Variant]
    planned_units: Count
    alpha: Number


class Pin(CheckedReply):
    """The version that stands for a variant as long as the comparison lasts."""

    model: str
    version: str
    digest: str = ""


class Phase(CheckedReply):
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


class Experiment(CheckedReply):
    """An experiment as it is now."""

    name: str
    revision: Count
    phase: Phase
    possible: list[str]
    definition: Definition


class ExperimentList(CheckedReply):
    """Every experiment."""

    experiments: list[Experiment]


class VariantValue(CheckedReply):
    """A metric's value of one variant."""

    name: str
    value: Number | None
    units: Count


class Metric(CheckedReply):
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


class Statement(CheckedReply):
    """Within how many units a harm stops a candidate, in this share of experiments; null is never."""

    harm: Number
    units: Number | None
    share: Number


class Guardrail(CheckedReply):
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


class SampleRatio(CheckedReply):
    """The units of each variant, and whether the split is not the designed one."""

    units: dict[str, Count]
    log_e: Number | None
    is_alarm: bool
    crossed_units: Count


class Estimate(CheckedReply):
    """A value with its interval."""

    effect: Number | None
    low: Number | None
    high: Number | None
    units: Count


class Shadow(CheckedReply):
    """What the pairs of shadow show."""

    candidate: str
    agreement: Estimate
    only_control: Count
    only_candidate: Count


class Progress(CheckedReply):
    """How far the plan is fulfilled."""

    units: Count
    planned_units: Count
    open_units: Count
    days_to_go: Number | None


class Cost(CheckedReply):
    """What a variant takes."""

    latency_us: dict[str, Number | None]
    model_bytes: Number | None
    memory_bytes: Number | None = None
    run_seconds_per_thousand: Number | None
    cpu_seconds_per_thousand: Number | None
    price_per_million: Number | None


class Results(CheckedReply):
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


class Look(CheckedReply):
    """What a look has shown."""

    at: Time
    results: Results


class Looks(CheckedReply):
    """Looks over time, the oldest first."""

    looks: list[Look]


class Phases(CheckedReply):
    """All phases, the first one first."""

    phases: list[Phase]


class AuditEntry(CheckedReply):
    """Who did what, when."""

    at: Time
    by: str
    action: str
    detail: str


class Audit(CheckedReply):
    """The audit trail, the newest entry first."""

    entries: list[AuditEntry]


class Refused(CheckedReply):
    """Why an outcome was not stored."""

    place: Count
    reason: str


class UnknownMetric(CheckedReply):
    """A metric that no experiment has, of how many outcomes it is, and which one may have been meant."""

    metric: str
    count: Count
    suggestion: str | None = None


class Receipt(CheckedReply):
    """What became of outcomes."""

    new: Count
    duplicate: Count
    refused: Count
    reasons: list[Refused]
    unmatched: Count = 0
    unknown: Count = 0
    unknown_metrics: list[UnknownMetric] = []


def read(kind: type[R], reply: Mapping[str, Json]) -> R:
    """The reply as its kind; raises `InvalidReplyError`, which names the first field that is wrong."""
    try:
        return kind.model_validate(reply)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidReplyError(f"the reply's `{where}` is not as expected: {first['msg']}") from error
