"""The plan of a study, and its runs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from adaptact.languages.catalogue import mark
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.errors import StudyError
from adaptive_act.study.own_code import digest_source
from adaptive_act.study.specs import Architecture, DataSpec, RunSpec, Training
from adaptive_act.study.variants import LINEAR, Variant

GAMMAS = (0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""The strengths of NEAAF's cubic term that an ablation goes through."""
LABEL_NOISE = (0.1, 0.2, 0.4)
IMBALANCE = (10.0, 50.0, 100.0)
RATES = (1e-3, 3e-3, 1e-2)
FIRST_TUNING_SEED = 1_000_000
"""Seeds from here on choose the rates, so that no run that is compared took part in the choice."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A baseline, the variants that are compared with it, and the seeds with which each is trained."""

    data: DataSpec
    architecture: Architecture
    variants: tuple[str, ...]
    baseline: str = "ReLU"
    seeds: tuple[int, ...] = tuple(range(10))
    rates: tuple[float, ...] = RATES
    """Learning rates of the weights to choose from, for each variant; a single one is taken as it is."""
    tuning_seeds: int = 2
    """With how many seeds each variant is trained at each rate before one is chosen."""
    chosen: Mapping[str, float] = field(default_factory=dict)
    """The rate of each variant, where there were several to choose from."""
    training: Training = field(default_factory=Training)
    ablations: bool = False
    robustness: bool = False
    cost: bool = True
    extra_seeds: int = 3
    """With how many of the seeds ablations and robustness are trained, at most."""

    def __post_init__(self) -> None:
        baseline = Variant.parse(self.baseline)
        if baseline.learns:
            raise StudyError(f"the baseline is a plain activation, got `{self.baseline}`, which learns")
        named = dict.fromkeys(str(Variant.parse(text)) for text in self.variants)
        named.pop(str(baseline), None)
        if not named:
            raise StudyError(f"name at least one activation to hold against the baseline `{self.baseline}`")
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise StudyError(f"expected at least one seed, each once, got {list(self.seeds)}")
        if not 0 <= min(self.seeds) <= max(self.seeds) < FIRST_TUNING_SEED:
            raise StudyError(f"expected seeds from 0 to {FIRST_TUNING_SEED - 1:,}, got {list(self.seeds)}")
        _check_rates(self.rates, self.tuning_seeds)
        object.__setattr__(self, "rates", tuple(sorted(self.rates)))
        object.__setattr__(self, "baseline", str(baseline))
        object.__setattr__(self, "variants", tuple(named))

    @property
    def all_variants(self) -> tuple[str, ...]:
        """The baseline and the variants."""
        return (self.baseline, *self.variants)

    @property
    def few_seeds(self) -> tuple[int, ...]:
        """The seeds of ablations and robustness."""
        return self.seeds[: self.extra_seeds]

    def rate_of(self, variant: str) -> float:
        """The learning rate at which a variant is trained; raises KeyError where none is chosen yet."""
        return self.rates[0] if len(self.rates) == 1 else self.chosen[variant]


@dataclass(frozen=True, slots=True)
class Ablation:
    """One change to a variant; its effect is the paired difference to the unchanged variant."""

    change: str
    variant: str
    against: str


@dataclass(frozen=True, slots=True)
class DegradedData:
    """Training data that are degraded in one way, at one severity."""

    way: str
    severity: float
    data: DataSpec


def list_run_specs(plan: Plan, digest: str) -> list[RunSpec]:
    """Every run of the plan, each once, those of one seed together, the comparison itself first."""
    return list(dict.fromkeys(_generate_run_specs(plan, digest)))


def make_run_spec(
    plan: Plan, digest: str, variant: str, seed: int, data: DataSpec | None = None, lr: float | None = None
) -> RunSpec:
    """The run of a variant with a seed, on the plan's data or on degraded ones, at its rate or at `lr`."""
    own = () if plan.architecture.is_built_in else (plan.architecture.name,)
    loop = () if plan.training.loop is None else (plan.training.loop,)
    return RunSpec(
        plan.data if data is None else data,
        digest,
        plan.architecture,
        plan.baseline,
        variant,
        seed,
        plan.rate_of(variant) if lr is None else lr,
        plan.training,
        digest_source((*own, *loop)),
    )


def list_ablations(plan: Plan) -> list[Ablation]:
    """The ablations of the plan; empty where it has none.

    No nonlinearity at all; and for each learned variant: parameters frozen where they start, and the other
    of shared and per channel.
    """
    if not plan.ablations:
        return []
    ablations = [Ablation(mark("nonlinearity off"), LINEAR, plan.baseline)]
    for text in plan.variants:
        variant = Variant.parse(text)
        if not variant.learns or variant.frozen:
            continue
        ablations.append(Ablation(mark("parameters frozen"), str(replace(variant, frozen=True)), text))
        if ACTIVATIONS[variant.kind.name].elementwise:
            granularity = replace(variant, per_channel=not variant.per_channel)
            ablations.append(
                Ablation(
                    mark("per channel") if granularity.per_channel else mark("shared"), str(granularity), text
                )
            )
    return ablations


def sweep_gamma(plan: Plan) -> dict[str, list[tuple[float, str]]]:
    """For each NEAAF of the plan the strengths of its cubic term and the variants that have them."""
    if not plan.ablations:
        return {}
    cubic = [text for text in plan.variants if Variant.parse(text).kind.name == "NEAAF"]
    return {text: [(gamma, _set_gamma(text, gamma)) for gamma in GAMMAS] for text in cubic}


def degrade_data(plan: Plan) -> list[DegradedData]:
    """The degraded training data of the plan's robustness runs; empty where it has none."""
    if not plan.robustness:
        return []
    noise = [
        DegradedData("label noise", share, replace(plan.data, label_noise=share)) for share in LABEL_NOISE
    ]
    return noise + [
        DegradedData("class imbalance", ratio, replace(plan.data, imbalance=ratio)) for ratio in IMBALANCE
    ]


def _check_rates(rates: tuple[float, ...], tuning_seeds: int) -> None:
    if not rates or len(set(rates)) != len(rates) or not all(0 < rate < math.inf for rate in rates):
        raise StudyError(f"expected learning rates above 0, each once, got {list(rates)}")
    if tuning_seeds < 1:
        raise StudyError(f"expected at least 1 seed to choose a rate by, got {tuning_seeds}")


def _generate_run_specs(plan: Plan, digest: str) -> Iterator[RunSpec]:
    for seed in plan.seeds:
        for variant in plan.all_variants:
            yield make_run_spec(plan, digest, variant, seed)
    swept = [variant for sweep in sweep_gamma(plan).values() for _, variant in sweep]
    for seed in plan.few_seeds:
        for variant in [*(ablation.variant for ablation in list_ablations(plan)), *swept]:
            yield make_run_spec(plan, digest, variant, seed)
    for degraded in degrade_data(plan):
        for seed in plan.few_seeds:
            for variant in plan.all_variants:
                yield make_run_spec(plan, digest, variant, seed, degraded.data)


def _set_gamma(text: str, gamma: float) -> str:
    variant = Variant.parse(text)
    options = {key: value for key, value in variant.kind.options.items() if key != "gamma"} | {"gamma": gamma}
    return str(replace(variant, kind=replace(variant.kind, options=options)))
