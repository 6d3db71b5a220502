"""What an analysis is given and what it finds: plain records, without the store and without text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from adaptact.languages.catalogue import Language
from serve.experiments.definition import Guardrail, Metric
from serve.experiments.statistics.looks import History, Look
from serve.experiments.statistics.sample_ratio import SampleRatio
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments

VerdictKind: TypeAlias = Literal["invalid", "harmful", "better", "worse", "equivalent", "undecided"]
Finding: TypeAlias = Literal["better", "worse", "equivalent", "undecided"]
OutcomeSample: TypeAlias = Counts | Moments | PairMoments | LogHistogram


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a variant answers.

    Events count units, not requests, since the requests of one unit fail together: a client that sends the
    same wrong request a hundred times is one event.
    """

    errors: Counts = field(default_factory=Counts)
    """Units, and those with an error."""
    nans: Counts = field(default_factory=Counts)
    """Units, and those whose answer held a NaN or an infinity."""
    latency: LogHistogram = field(default_factory=lambda: LogHistogram.of([]))
    """In microseconds, one value a unit."""
    classes: Mapping[int, int] = field(default_factory=dict)
    """How often each class was the most probable one, in one answer a unit."""
    disagreements: Counts = field(default_factory=Counts)
    """Pairs that the control and this candidate both answered in shadow, and those with unlike answers."""


@dataclass(frozen=True, slots=True)
class Expense:
    """What a variant takes; None where it was not measured."""

    model_bytes: float | None = None
    """The size of its model's files."""
    run_seconds_per_thousand: float | None = None
    """Seconds that runs of its model take per thousand requests, by the clock."""
    cpu_seconds_per_thousand: float | None = None
    """Processor seconds of these runs."""
    memory_bytes: float | None = None
    """By how much a process grows that loads the model alone and runs it."""

    def price_per_million(self, price_per_cpu_hour: float | None) -> float | None:
        """The price of the runs of a million requests; None where either is not known."""
        if self.cpu_seconds_per_thousand is None or price_per_cpu_hour is None:
            return None
        return self.cpu_seconds_per_thousand * 1000 / 3600 * price_per_cpu_hour


@dataclass(frozen=True, slots=True)
class Observations:
    """All that is known of one variant in one comparison."""

    units: int = 0
    """Units that met it first."""
    outcomes: Mapping[str, OutcomeSample] = field(default_factory=dict)
    """By metric: Counts for binary, Moments for mean, LogHistogram for quantile; PairMoments (y, x) for ratio
    or with a covariate."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    expense: Expense = field(default_factory=Expense)
    early_outcomes: Mapping[str, int] = field(default_factory=dict)
    """By metric, the outcomes that do not count, since they happened before their unit met the experiment."""


@dataclass(frozen=True, slots=True)
class ShadowPairs:
    """Requests that the control and a candidate in shadow both answered."""

    agreements: Counts = field(default_factory=Counts)
    """Pairs, and those with the same answer."""
    only_control: int = 0
    """Pairs with a known true answer that only the control got right."""
    only_candidate: int = 0
    """Pairs with a known true answer that only the candidate got right."""


@dataclass(frozen=True, slots=True)
class ShadowFindings:
    """What the pairs of shadow show of a candidate; the verdict does not depend on it."""

    agreement: Look
    """The share of pairs with the same answer."""
    wins: Look
    """How many times as often only the candidate is right as only the control."""
    pairs: ShadowPairs


class GuardrailKey(NamedTuple):
    """One guardrail and the candidate that it watches; evidence beyond one margin says nothing of another."""

    kind: str
    quantile: float | None
    margin: float
    candidate: str


def key_of(guardrail: Guardrail, candidate: str) -> GuardrailKey:
    """What the evidence of this guardrail on this candidate is remembered by."""
    return GuardrailKey(guardrail.kind, guardrail.quantile, guardrail.margin, candidate)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the looks before at one comparison have shown; what was shown once stays shown."""

    histories: Mapping[tuple[str, str], History] = field(default_factory=dict)
    """By metric and candidate."""
    harms: Mapping[GuardrailKey, float] = field(default_factory=dict)
    """The greatest log_e of each guardrail."""
    sample_ratio: float = 0.0
    """The greatest log_e of the sample ratio."""
    base_rates: Mapping[str, float] = field(default_factory=dict)
    """By binary metric, the rate that its comparison was chosen by."""

    def as_json(self) -> dict[str, Any]:
        """The memory in types of JSON, which has no infinities."""
        return {
            "histories": [
                [*key, *map(_without_infinity, astuple(known))] for key, known in self.histories.items()
            ],
            "harms": [[*key, _without_infinity(log_e)] for key, log_e in self.harms.items()],
            "sample_ratio": self.sample_ratio,
            "base_rates": dict(self.base_rates),
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Memory":
        """The memory that `as_json` wrote; what an older program wrote otherwise is forgotten."""
        histories = {
            (metric, candidate): _read_history(values) for metric, candidate, *values in written["histories"]
        }
        harms = {
            GuardrailKey(*key): _with_infinity(log_e, math.inf)
            for *key, log_e in written["harms"]
            if len(key) == len(GuardrailKey._fields)
        }
        return cls(histories, harms, written["sample_ratio"], written.get("base_rates", {}))


def _read_history(values: Sequence[Any]) -> History:
    effect, low, high, log_e, *rest = values
    return History(
        _with_infinity(effect, math.nan),
        _with_infinity(low, -math.inf),
        _with_infinity(high, math.inf),
        _with_infinity(log_e, math.inf),
        *rest,
    )


def _without_infinity(value: Any) -> Any:
    return value if math.isfinite(value) else None


def _with_infinity(value: float | None, absent: float) -> float:
    return absent if value is None else value


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of one candidate beside the control."""

    metric: Metric
    candidate: str
    look: Look
    history: History
    finding: Finding


@dataclass(frozen=True, slots=True)
class Harm:
    """One guardrail of one candidate: the values beside each other, and whether harm is shown."""

    guardrail: Guardrail
    candidate: str
    control_value: float
    value: float
    log_e: float
    """The greatest so far."""
    is_shown: bool

    @property
    def key(self) -> GuardrailKey:
        """What it is remembered by."""
        return key_of(self.guardrail, self.candidate)


@dataclass(frozen=True, slots=True)
class CandidateFindings:
    """All findings on one candidate."""

    name: str
    kind: VerdictKind
    comparisons: tuple[Comparison, ...]
    harms: tuple[Harm, ...]
    shadow: ShadowFindings | None = None

    @property
    def primary(self) -> tuple[Comparison, ...]:
        """Those that the verdict depends on."""
        return tuple(comparison for comparison in self.comparisons if comparison.metric.is_primary)

    @property
    def shown_harms(self) -> tuple[Harm, ...]:
        """Those that are shown, whatever is done about them."""
        return tuple(harm for harm in self.harms if harm.is_shown)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the plan is fulfilled."""

    units: int
    """Units of all variants whose outcomes are known; the fewest, where metrics differ."""
    planned_units: int
    open_units: int
    """Units whose time for an outcome still runs; what is known of them does not count before."""
    days_to_go: float | None
    """At today's traffic; None without traffic, 0 once the plan is fulfilled."""

    @property
    def share(self) -> float:
        """The fulfilled share of the plan, 1 at most."""
        return min(self.units / self.planned_units, 1.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an experiment has shown so far."""

    kind: VerdictKind
    leading: CandidateFindings
    """The candidate that the verdict is about."""
    candidates: tuple[CandidateFindings, ...]
    sample_ratio: SampleRatio
    crossed_units: int
    """Units that met more than one variant."""
    incomplete: tuple[str, ...]
    """Metrics whose outcomes arrive for a different share of units in one variant than in the others."""
    progress: Progress
    memory: Memory
    early: Mapping[str, int] = field(default_factory=dict)
    """Metrics with outcomes from before their unit met the experiment, and how many."""
    sentences: Mapping[Language, str] = field(default_factory=dict)
    """The verdict for a manager, in each language."""

    @property
    def pausing(self) -> tuple[Harm, ...]:
        """Shown harms that only pause the experiment."""
        return tuple(harm for harm in self._shown if harm.guardrail.action == "pause")

    @property
    def stopping(self) -> tuple[Harm, ...]:
        """Shown harms that stop their candidate."""
        return tuple(harm for harm in self._shown if harm.guardrail.action == "stop")

    @property
    def _shown(self) -> tuple[Harm, ...]:
        return tuple(harm for candidate in self.candidates for harm in candidate.shown_harms)
