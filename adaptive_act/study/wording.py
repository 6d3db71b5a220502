"""A study's numbers in words: in per cent and points, with intervals, claiming no more than is shown."""

import math
from collections.abc import Iterable

from adaptive_act.study.results import Comparison, Outcome, Results
from adaptive_act.study.statistics import ALPHA, Mean, Paired
from adaptive_act.study.task import Metric

NONE = "–"
RATIO = Metric("ratio", ".2f")


def format_mean(value: Mean, metric: Metric) -> str:
    """A mean with its interval, such as `98.12 % (98.02 to 98.22)` or `0.512 (0.498 to 0.526)`."""
    unit = " %" if metric.is_share else ""
    return f"{metric.write(value.mean)}{unit}{_format_interval(value, metric)}"


def format_difference(value: Paired | Mean, metric: Metric) -> str:
    """A difference with its interval, such as `+0.21 (+0.10 to +0.32)` in percentage points."""
    return f"{metric.write(value.mean, '+')}{_format_interval(value, metric, '+')}"


def format_ratio(value: Mean | None) -> str:
    """A ratio with its interval, such as `1.08 (1.06 to 1.10)`."""
    return NONE if value is None else f"{value.mean:.2f}{_format_interval(value, RATIO)}"


def format_p(p: float) -> str:
    """A p-value with two digits."""
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"


def summarise_answer(results: Results) -> list[str]:
    """The answer in three paragraphs: the gain, its certainty and its cost."""
    return [_describe_gain(results), _describe_certainty(results), _describe_costs(results)]


def describe_setting(results: Results) -> str:
    """The data, network and size of the study, in one line."""
    plan, data = results.plan, results.data
    return (
        f"{data.name} ({data.train:,} training, {data.validation:,} validation, {data.test:,} test samples), "
        f"{plan.architecture.name}, {format_count(len(plan.seeds), 'seed')}, "
        f"{format_count(plan.training.epochs, 'epoch')}; baseline {plan.baseline}"
    )


def format_count(number: int, noun: str) -> str:
    """A number of things, such as `1 seed` or `10 seeds`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_costs(results: Results) -> dict[str, tuple[str, str]]:
    """For each variant the ratios of its training step and of its exported latency to the baseline's."""
    return {
        name: (
            format_ratio(cost.training_step),
            format_ratio(cost.latency) if cost.latency else "not measured",
        )
        for name, cost in results.cost.items()
    }


def _describe_gain(results: Results) -> str:
    better = _select_verdict(results, "better")
    baseline, task = results.plan.baseline, results.task
    if better:
        better.sort(key=lambda pair: -pair[1].difference.mean)
        gains = _join_list(
            f"{outcome.variant} by {format_difference(compared.difference, task.score)}"
            for outcome, compared in better
        )
        share = (
            f"{len(better)} of {format_count(len(results.plan.variants), 'activation')} {_verb_for(better)}"
        )
        return (
            f"Does it pay? Yes, on these data: {share} {task.better} than {baseline}, in "
            f"{task.score.unit_of_differences}: {gains}."
        )
    if any(comparison.verdict == "no difference shown" for _, comparison in _list_compared(results)):
        return f"Does it pay? Not shown: no activation was shown to be {task.better} than {baseline} here."
    if _select_verdict(results, "worse"):
        return f"Does it pay? No: every activation that could be told from {baseline} was {task.worse}."
    return (
        f"Does it pay? That cannot be shown with {format_count(len(results.plan.seeds), 'seed')}: the "
        f"smallest p that so few can reach is {format_p(_smallest_p(results))}, corrected for "
        f"{format_count(len(results.plan.variants), 'comparison')}. The intervals below say how large a "
        "difference may be."
    )


def _describe_certainty(results: Results) -> str:
    worse = _join_list(outcome.variant for outcome, _ in _select_verdict(results, "worse"))
    same = _join_list(outcome.variant for outcome, _ in _select_verdict(results, "no difference shown"))
    first = results.outcomes[1].against_baseline
    assert first is not None
    kind = "exact" if first.difference.exact else "sampled"
    parts = [
        f"How sure? Each verdict rests on {format_count(len(results.plan.seeds), 'paired run')}, by an "
        f"{kind} sign-flip test with p at most {ALPHA:g}, corrected for "
        f"{format_count(len(results.plan.variants), 'comparison')}."
    ]
    parts += [f"{results.task.worse.capitalize()}: {worse}."] if worse else []
    parts += [f"No difference shown: {same}; that is no proof that there is none."] if same else []
    return " ".join(parts)


def _describe_costs(results: Results) -> str:
    measured = [(results.cost[name], name) for name in results.plan.variants if results.cost]
    steps = [(cost.training_step.mean, name) for cost, name in measured]
    latencies = [(cost.latency.mean, name) for cost, name in measured if cost.latency is not None]
    parts = [_describe_parameters(results)]
    parts += [f"a training step {_format_extremes(steps)} as long"] if steps else []
    parts += [f"a prediction by the exported file {_format_extremes(latencies)} as long"] if latencies else []
    diverged = sum(outcome.diverged for outcome in results.outcomes)
    runs = sum(len(outcome.runs) for outcome in results.outcomes)
    return f"What does it cost? {'; '.join(parts)}. {diverged} of {runs:,} runs diverged."


def _describe_parameters(results: Results) -> str:
    added = max(outcome.runs[0].parameters_added for outcome in results.outcomes)
    if added == 0:
        return "No extra parameters"
    share = added / results.baseline.runs[0].parameters
    return f"At most {format_count(added, 'extra parameter')} ({share:.2%} of the network)"


def _format_extremes(named: list[tuple[float, str]]) -> str:
    (low, _), (high, slowest) = min(named), max(named)
    return f"{low:.2f} to {high:.2f} times ({slowest})" if len(named) > 1 else f"{high:.2f} times"


def _list_compared(results: Results) -> list[tuple[Outcome, Comparison]]:
    return [(o, o.against_baseline) for o in results.outcomes if o.against_baseline is not None]


def _select_verdict(results: Results, verdict: str) -> list[tuple[Outcome, Comparison]]:
    return [pair for pair in _list_compared(results) if pair[1].verdict == verdict]


def _smallest_p(results: Results) -> float:
    comparisons = _list_compared(results)
    return min(1.0, comparisons[0][1].difference.smallest_p * len(comparisons))


def _verb_for(outcomes: list[tuple[Outcome, Comparison]]) -> str:
    return "is" if len(outcomes) == 1 else "are"


def _join_list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _format_interval(value: Mean | Paired, metric: Metric, sign: str = "") -> str:
    if math.isnan(value.low) or math.isnan(value.high):
        return ""
    return f" ({metric.write(value.low, sign)} to {metric.write(value.high, sign)})"
