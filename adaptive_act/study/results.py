"""The results of a study as one value, from which results.json and every report are written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from adaptact.files import replace_file
from adaptact.report.notebook import show_table
from adaptive_act.study import statistics
from adaptive_act.study.cost import Costs
from adaptive_act.study.data import Dataset
from adaptive_act.study.plan import Ablation, Plan, degrade_data, list_ablations, make_run_spec, sweep_gamma
from adaptive_act.study.robustness import Accuracies
from adaptive_act.study.run import RunResult
from adaptive_act.study.specs import DataSpec, versions
from adaptive_act.study.statistics import Mean, Paired, replace_non_finite
from adaptive_act.study.task import CLASSIFICATION, REGRESSION, Metric, Task
from adaptive_act.study.tuning import Tuning

FORMAT = "adaptact-study/2"

Runs = Mapping[str, RunResult]


@dataclass(frozen=True, slots=True)
class DataSummary:
    """The data of a study in numbers."""

    name: str
    digest: str
    shape: tuple[int, ...]
    task: str
    classes: tuple[str, ...]
    """Empty where numbers are predicted."""
    train: int
    validation: int
    test: int
    chance: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variant against the baseline on the same seeds; `p` is corrected for all comparisons (Holm)."""

    difference: Paired
    p: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A variant over all seeds; runs that diverged are in the means as they ended."""

    variant: str
    lr: float
    """The learning rate at which it was trained."""
    starts_as_baseline: bool
    """Whether the network computed what it does with the baseline when training began."""
    runs: tuple[RunResult, ...]
    score: Mean
    loss: Mean
    error: Mean
    against_baseline: Comparison | None
    """None for the baseline itself."""
    diverged: int
    """How many runs diverged."""


@dataclass(frozen=True, slots=True)
class AblationOutcome:
    """The accuracy of a changed variant, and its difference to the unchanged one."""

    ablation: Ablation
    score: Mean
    difference: Paired


@dataclass(frozen=True, slots=True)
class Level:
    """One point of a curve: a variant's accuracy at a severity, or at a strength of its cubic term."""

    severity: float
    score: Mean
    difference: Paired | None
    """To the baseline at the same severity; None for the baseline."""
    diverged: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A variant's levels in one respect, from the least severe."""

    respect: str
    variant: str
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a study."""

    plan: Plan
    data: DataSummary
    versions: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    """The baseline first."""
    ablations: tuple[AblationOutcome, ...]
    gamma: tuple[Curve, ...]
    robustness: tuple[Curve, ...]
    cost: Costs
    tuning: Tuning
    """The validation scores by which the rates were chosen; empty where there was a single rate."""

    def _repr_html_(self) -> str:
        """What notebooks show: a row a variant."""
        metric = self.task.score
        rows = [
            (outcome.variant, metric.write(outcome.score.mean), *_show_comparison(outcome, metric))
            for outcome in self.outcomes
        ]
        header = ("activation", metric.label, f"over {self.plan.baseline}", "p", "verdict")
        return show_table(f"Study on {self.data.name}", header, rows)

    @property
    def task(self) -> Task:
        """What was learned."""
        return CLASSIFICATION if self.data.classes else REGRESSION

    @property
    def baseline(self) -> Outcome:
        """The baseline's outcome."""
        return self.outcomes[0]


def _show_comparison(outcome: Outcome, metric: Metric) -> tuple[str, str, str]:
    found = outcome.against_baseline
    if found is None:
        return "", "", "baseline"
    return metric.write(found.difference.mean, "+"), f"{found.p:.2g}", found.verdict


def gather_results(
    plan: Plan, data: Dataset, runs: Runs, corrupted: Accuracies, cost: Costs, tuning: Tuning = ()
) -> Results:
    """The results of a plan from its runs by key, the accuracies on corrupted samples, cost and tuning."""
    score = data.task.score
    return Results(
        plan=plan,
        data=_summarise_data(data),
        versions=versions(),
        outcomes=_make_outcomes(plan, data, runs),
        ablations=tuple(
            _make_ablation(plan, data.digest, runs, ablation, score) for ablation in list_ablations(plan)
        ),
        gamma=_make_gamma_curves(plan, data.digest, runs, score),
        robustness=(
            *_make_corruption_curves(plan, corrupted),
            *_make_degraded_curves(plan, data.digest, runs),
        ),
        cost=cost,
        tuning=tuning,
    )


def write_results(results: Results, path: Path) -> None:
    """Writes the results as JSON, with null for numbers that are not finite, and without the data's path."""
    # A report is shared with others: it must not contain the data's path on this machine.
    named = replace(results.plan, data=replace(results.plan.data, source=results.data.name))
    content = {"format": FORMAT, **asdict(replace(results, plan=named))}
    with replace_file(path) as file:
        file.write_text(
            json.dumps(replace_non_finite(content), indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def _summarise_data(data: Dataset) -> DataSummary:
    sizes = (len(data.train), len(data.validation), len(data.test))
    return DataSummary(data.name, data.digest, data.shape, data.task.name, data.classes, *sizes, data.chance)


def _make_outcomes(plan: Plan, data: Dataset, runs: Runs) -> tuple[Outcome, ...]:
    by_variant = {
        variant: [runs[make_run_spec(plan, data.digest, variant, seed).key] for seed in plan.seeds]
        for variant in plan.all_variants
    }
    comparisons = _compare_variants(
        plan, {variant: _scores(variant_runs) for variant, variant_runs in by_variant.items()}
    )
    return tuple(
        Outcome(
            variant,
            plan.rate_of(variant),
            variant_runs[0].at_fixed_point,
            tuple(variant_runs),
            _average(_scores(variant_runs), data.task.score),
            statistics.mean([run.loss for run in variant_runs]),
            _average([run.error for run in variant_runs], data.task.error),
            comparisons.get(variant),
            _count_diverged(variant_runs),
        )
        for variant, variant_runs in by_variant.items()
    )


def _compare_variants(plan: Plan, accuracies: Mapping[str, Sequence[float]]) -> dict[str, Comparison]:
    differences = [
        statistics.paired(accuracies[variant], accuracies[plan.baseline]) for variant in plan.variants
    ]
    corrected = statistics.holm([difference.p for difference in differences])
    return {
        variant: Comparison(difference, p, statistics.judge_difference(difference, p, len(differences)))
        for variant, difference, p in zip(plan.variants, differences, corrected, strict=True)
    }


def _average(values: Sequence[float], metric: Metric) -> Mean:
    return statistics.share(values) if metric.is_share else statistics.mean(values)


def _scores(runs: Sequence[RunResult]) -> list[float]:
    return [run.score for run in runs]


def _few_runs(
    plan: Plan, digest: str, runs: Runs, variant: str, data: DataSpec | None = None
) -> list[RunResult]:
    return [runs[make_run_spec(plan, digest, variant, seed, data).key] for seed in plan.few_seeds]


def _make_ablation(
    plan: Plan, digest: str, runs: Runs, ablation: Ablation, metric: Metric
) -> AblationOutcome:
    changed = _scores(_few_runs(plan, digest, runs, ablation.variant))
    before = _scores(_few_runs(plan, digest, runs, ablation.against))
    return AblationOutcome(ablation, _average(changed, metric), statistics.paired(changed, before))


def _make_level(
    severity: float,
    values: Sequence[float],
    baseline: Sequence[float] | None,
    diverged: int,
    metric: Metric = CLASSIFICATION.score,
) -> Level:
    difference = None if baseline is None else statistics.paired(values, baseline)
    return Level(severity, _average(values, metric), difference, diverged)


def _make_gamma_curves(plan: Plan, digest: str, runs: Runs, metric: Metric) -> tuple[Curve, ...]:
    baseline = _scores(_few_runs(plan, digest, runs, plan.baseline))
    curves = []
    for variant, sweep in sweep_gamma(plan).items():
        levels = []
        for gamma, swept in sweep:
            swept_runs = _few_runs(plan, digest, runs, swept)
            diverged = _count_diverged(swept_runs)
            levels.append(_make_level(gamma, _scores(swept_runs), baseline, diverged, metric))
        curves.append(Curve("gamma", variant, tuple(levels)))
    return tuple(curves)


def _make_degraded_curves(plan: Plan, digest: str, runs: Runs) -> tuple[Curve, ...]:
    degraded = degrade_data(plan)
    curves = []
    for way in dict.fromkeys(degraded_data.way for degraded_data in degraded):
        steps = [
            (degraded_data.severity, degraded_data.data)
            for degraded_data in degraded
            if degraded_data.way == way
        ]
        clean = 1.0 if way == "class imbalance" else 0.0
        for variant in plan.all_variants:
            levels = []
            for severity, data in [(clean, None), *steps]:
                variant_runs = _few_runs(plan, digest, runs, variant, data)
                base = None
                if variant != plan.baseline:
                    base = _scores(_few_runs(plan, digest, runs, plan.baseline, data))
                levels.append(
                    _make_level(severity, _scores(variant_runs), base, _count_diverged(variant_runs))
                )
            curves.append(Curve(way, variant, tuple(levels)))
    return tuple(curves)


def _make_corruption_curves(plan: Plan, corrupted: Accuracies) -> tuple[Curve, ...]:
    curves = []
    for respect, by_variant in corrupted.items():
        for variant, by_severity in by_variant.items():
            levels = []
            for severity, values in by_severity.items():
                base = None if variant == plan.baseline else by_variant[plan.baseline][severity]
                levels.append(_make_level(severity, values, base, 0))
            curves.append(Curve(respect, variant, tuple(levels)))
    return tuple(curves)


def _count_diverged(runs: Sequence[RunResult]) -> int:
    return sum(run.diverged is not None for run in runs)
