"""The definition of an experiment: what is compared, on whom, by which metrics, guarded by what."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from serve.experiments.consistency import find_inconsistencies
from serve.experiments.units import MAX_UNIT_CHARACTERS, UnitKind

MAX_CANDIDATES = 8
MAX_METRICS = 32
MAX_GUARDRAILS = 16
MAX_ALLOWED_UNITS = 10_000
MAX_STEPS = 20
INCONSISTENT = "inconsistent"
"""The type of pydantic's error whose `ctx` holds the `mistakes` of fields that do not fit each other."""

Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ModelName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Percent: TypeAlias = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Step: TypeAlias = Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)]
Quantile: TypeAlias = Annotated[float, Field(ge=0.01, le=0.999, allow_inf_nan=False)]
UnitText: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_UNIT_CHARACTERS)]
MetricKind: TypeAlias = Literal["binary", "mean", "ratio", "quantile"]
HiddenParts: TypeAlias = Literal["none", "headers", "parameters", "all"]
"""What replies leave out."""
GuardrailKind: TypeAlias = Literal["error_rate", "latency", "nan", "prediction_shift", "disagreement"]

DEFAULT_MARGINS: dict[GuardrailKind, float] = {
    "error_rate": 0.5,
    "latency": 0.25,
    "nan": 0.0,
    "prediction_shift": 0.1,
    "disagreement": 0.1,
}


def _write_version(value: object) -> object:
    """A version number as the protocol writes it, since YAML and JSON read `2` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_VersionText: TypeAlias = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,17}|[a-z][a-z0-9_-]{0,31})$")]
Version: TypeAlias = Annotated[
    _VersionText, BeforeValidator(_write_version, json_schema_input_type=_VersionText | int)
]


def _name_hidden(value: object) -> object:
    """Yes and no, as they were once written, in words."""
    return ("all" if value else "none") if isinstance(value, bool) else value


_Hidden: TypeAlias = Annotated[
    HiddenParts, BeforeValidator(_name_hidden, json_schema_input_type=HiddenParts | bool)
]


class _Record(BaseModel):
    """What all parts of a definition share: no unknown fields, no conversions, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Variant(_Record):
    """One of the models that are compared."""

    name: Name
    """The variant's name in replies, metrics and reports."""
    model: ModelName | None = None
    """The model; null for the experiment's."""
    version: Version | None = None
    """A version number or an alias; null for what answers where no version is named."""


class Metric(_Record):
    """An outcome that is reported for units or requests, and how the variants are compared by it."""

    name: Name
    """The metric's name in feedback."""
    kind: MetricKind
    """binary: a share of units; mean, quantile: of one value a unit; ratio: of two sums."""
    direction: Literal["increase", "decrease"] = "increase"
    """Which change is an improvement."""
    is_primary: bool = False
    """Whether the verdict depends on it; alpha is divided among primary metrics and candidates."""
    window_seconds: Annotated[int, Field(ge=1, le=366 * 86_400)] | None = None
    """How long after a unit's first exposure its outcomes count; null for as long as the experiment runs."""
    is_absent_zero: bool = False
    """Whether a unit without an outcome in its window counts as one with 0, or is left out."""
    per_unit: Literal["mean", "sum"] = "mean"
    """What a unit's outcomes become, as its one value; of kinds mean and quantile."""
    quantile: Quantile | None = None
    """Which quantile is compared; of kind quantile only."""
    denominator: Name | None = None
    """The metric in feedback whose sum the values are divided by; of kind ratio only."""
    equivalence_margin: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    """The difference, relative to the control's value, within which variants count as equal: 0.02 for 2 %."""
    covariate: Literal["none", "shadow_score"] = "none"
    """What the variance is reduced by (CUPED): nothing, or the control's score of the same unit in shadow."""


class Guardrail(_Record):
    """A harm that is watched for during the whole experiment."""

    kind: GuardrailKind
    """What is watched."""
    margin: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = Field(
        default_factory=lambda given: DEFAULT_MARGINS.get(given.get("kind"), 0.0)
    )
    """The harm that is tolerated: of error_rate and latency relative to the control's, 0.25 for a quarter
    more; of nan and disagreement a share of requests; of prediction_shift the change of one class's share."""
    quantile: Quantile | None = Field(
        default_factory=lambda given: 0.95 if given.get("kind") == "latency" else None
    )
    """Which quantile of latency is compared, by default 0.95; of kind latency only."""
    action: Literal["stop", "pause"] = "stop"
    """What is done once harm is shown."""


class Stages(_Record):
    """The way from the first mirrored request to half of all units."""

    shadow_share: Share = 1.0
    """The share of units whose requests are mirrored in the stage shadow; 0 leaves that stage out."""
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=1, max_length=MAX_STEPS)] = (
        *(1.0, 5.0, 10.0, 25.0, 50.0),
    )
    """Per cent of the units that are enrolled, step by step; inside a step all variants have equal shares."""
    hold_seconds: Annotated[int, Field(ge=0, le=366 * 86_400)] = 3600
    """How long shadow and each step last at least before the next begins by itself."""
    hold_units: Annotated[int, Field(ge=1, le=10**9)] = 100
    """How many units each candidate has met at least by then, or answered in shadow."""
    auto_advance: bool = True
    """Whether the next step begins by itself once these are over and no guardrail speaks against it."""


class Exclusion(_Record):
    """A range of a group's units; no unit is enrolled in two experiments of one group."""

    group: Name
    """Experiments of one group cut the same units into ranges."""
    from_percent: Percent
    """Where the range begins."""
    to_percent: Percent
    """Where the range ends; no step may be wider than the range."""

    @property
    def width_percent(self) -> float:
        """How much the range holds; rounded, since 0.3 - 0.1 is not quite 0.2."""
        return round(self.to_percent - self.from_percent, 9)


class PayloadLog(_Record):
    """Inputs and outputs that are stored, so that labels can be joined later."""

    share: Share
    """The share of requests."""
    retention_days: Annotated[int, Field(ge=1, le=3660)] = 30
    """Days after which they are deleted."""


class Experiment(_Record):
    """The whole definition of one experiment."""

    name: Name
    """The experiment's name; units are assigned by it, so another name assigns them anew."""
    model: ModelName
    """The model that clients name."""
    control: Variant
    """What answers without the experiment."""
    candidates: Annotated[tuple[Variant, ...], Field(strict=False, min_length=1, max_length=MAX_CANDIDATES)]
    """What is compared with the control."""
    stages: Stages = Stages()
    """Shadow and ramp."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False, max_length=MAX_METRICS)] = ()
    """What the verdict is about; without any only the guardrails judge."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(strict=False, max_length=MAX_GUARDRAILS)] = ()
    """What ends the experiment early."""
    alpha: Annotated[float, Field(ge=0.0001, le=0.5, allow_inf_nan=False)] = 0.05
    """The chance of a wrong verdict where there is no difference, over the whole experiment."""
    planned_units: Annotated[int, Field(ge=200, le=10**10)] = 5000
    """Units at which the analysis is sharpest; it stays valid before and after."""
    unit_sources: Annotated[tuple[UnitKind, ...], Field(strict=False, min_length=1, max_length=3)] = (
        "header",
        "parameter",
        "request",
    )
    """Where a request's unit is looked for, in this order; a request without any is not enrolled."""
    allow_list: Annotated[dict[UnitText, Name], Field(max_length=MAX_ALLOWED_UNITS)] = {}
    """Units with a fixed variant, such as testers; they are not analysed."""
    exclusion: Exclusion | None = None
    """Keeps units from being in two experiments at once."""
    auto_promote: bool = False
    """Whether a candidate with the verdict `better` is promoted without a person's decision."""
    hide_from_replies: _Hidden = "none"
    """Where replies do not say experiment, variant and request id: in the headers of HTTP and the metadata
    of gRPC, in the parameters of the message, or in neither (`all`, or true)."""
    log: PayloadLog | None = None
    """Which inputs and outputs are stored; null for none."""
    price_per_cpu_hour: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    """Shown as the cost of each variant; null where it is not known."""
    fixed_horizon: bool = False
    """Whether there is one look only, at the planned number of units."""
    on_error: Literal["return", "control"] = "return"
    """What a client gets where its candidate fails: the error, or the control's answer; both are counted."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The control, then the candidates."""
        return (self.control, *self.candidates)

    @property
    def needs_shadow_score(self) -> bool:
        """Whether a metric uses the control's score also of units that a candidate answers."""
        return any(metric.covariate == "shadow_score" for metric in self.metrics)

    def model_of(self, variant: Variant) -> str:
        """The name of the model that answers for the variant."""
        return variant.model or self.model

    def find_variant(self, name: str) -> Variant | None:
        """The variant with this name."""
        return next((variant for variant in self.variants if variant.name == name), None)

    @model_validator(mode="after")
    def _require_consistency(self) -> Self:
        """Raises pydantic's error with all mistakes of fields that do not fit each other."""
        found = list(find_inconsistencies(self))
        if found:
            raise PydanticCustomError(INCONSISTENT, "fields do not fit each other", {"mistakes": found})
        return self
