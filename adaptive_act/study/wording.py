"""A study's numbers in words: in per cent and points, with intervals, claiming no more than is shown."""

import math

from adaptact.languages.catalogue import mark
from adaptact.languages.joining import join_list, join_sentences
from adaptact.languages.spoken import say, say_count
from adaptive_act.study.results import Comparison, Outcome, Results
from adaptive_act.study.statistics import ALPHA, Mean, Paired
from adaptive_act.study.task import Metric

NONE = "–"
RATIO = Metric("ratio", ".2f")
_EXACT = mark(
    "How sure? Each verdict rests on {runs}, by an exact sign-flip test with p at most "
    "{alpha}, corrected for "
    "{comparisons}."
)
_SAMPLED = mark(
    "How sure? Each verdict rests on {runs}, by a sampled sign-flip test with p at most "
    "{alpha}, corrected for "
    "{comparisons}."
)


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
    return say(
        "{data} ({train} training, {validation} validation, {test} test samples), {network}, "
        "{seeds}, {epochs}; "
        "baseline {baseline}",
        data=data.name,
        train=f"{data.train:,}",
        validation=f"{data.validation:,}",
        test=f"{data.test:,}",
        network=plan.architecture.name,
        seeds=count_seeds(len(plan.seeds)),
        epochs=count_epochs(plan.training.epochs),
        baseline=plan.baseline,
    )


def count_seeds(number: int) -> str:
    """Such as `1 seed` or `10 seeds`."""
    return say_count("{number} seed", "{number} seeds", number)


def count_epochs(number: int) -> str:
    """Such as `1 epoch` or `10 epochs`."""
    return say_count("{number} epoch", "{number} epochs", number)


def count_comparisons(number: int) -> str:
    """Such as `1 comparison` or `6 comparisons`."""
    return say_count("{number} comparison", "{number} comparisons", number)


def format_costs(results: Results) -> dict[str, tuple[str, str]]:
    """For each variant the ratios of its training step and of its exported latency to the baseline's."""
    return {
        name: (
            format_ratio(cost.training_step),
            format_ratio(cost.latency) if cost.latency else say("not measured"),
        )
        for name, cost in results.cost.items()
    }


def _describe_gain(results: Results) -> str:
    better = _select_verdict(results, "better")
    plan, task = results.plan, results.task
    if better:
        return _describe_better(results, better)
    if any(comparison.verdict == "no difference shown" for _, comparison in _list_compared(results)):
        return say(
            "Does it pay? Not shown: no activation was shown to be {better} than {baseline} here.",
            better=say(task.better),
            baseline=plan.baseline,
        )
    if _select_verdict(results, "worse"):
        return say(
            "Does it pay? No: every activation that could be told from {baseline} was {worse}.",
            baseline=plan.baseline,
            worse=say(task.worse),
        )
    return say(
        "Does it pay? That cannot be shown with {seeds}: the smallest p that so few can "
        "reach is {p}, corrected "
        "for {comparisons}. The intervals below say how large a difference may be.",
        seeds=count_seeds(len(plan.seeds)),
        p=format_p(_smallest_p(results)),
        comparisons=count_comparisons(len(plan.variants)),
    )


def _describe_better(results: Results, better: list[tuple[Outcome, Comparison]]) -> str:
    better.sort(key=lambda pair: -pair[1].difference.mean)
    score = results.task.score
    gains = [
        say("{name} by {gain}", name=outcome.variant, gain=format_difference(compared.difference, score))
        for outcome, compared in better
    ]
    return say_count(
        "Does it pay? Yes, on these data: {number} of {all} is {better} than {baseline}, in {unit}: {gains}.",
        "Does it pay? Yes, on these data: {number} of {all} are {better} than {baseline}, in "
        "{unit}: {gains}.",
        len(better),
        all=say_count("{number} activation", "{number} activations", len(results.plan.variants)),
        better=say(results.task.better),
        baseline=results.plan.baseline,
        unit=score.unit_of_differences,
        gains=join_list(gains),
    )


def _describe_certainty(results: Results) -> str:
    worse = join_list(outcome.variant for outcome, _ in _select_verdict(results, "worse"))
    same = join_list(outcome.variant for outcome, _ in _select_verdict(results, "no difference shown"))
    first = results.outcomes[1].against_baseline
    assert first is not None
    parts = [
        say(
            _EXACT if first.difference.exact else _SAMPLED,
            runs=say_count("{number} paired run", "{number} paired runs", len(results.plan.seeds)),
            alpha=f"{ALPHA:g}",
            comparisons=count_comparisons(len(results.plan.variants)),
        )
    ]
    if worse:
        verdict = say(results.task.worse)
        parts.append(say("{verdict}: {names}.", verdict=verdict[:1].upper() + verdict[1:], names=worse))
    if same:
        parts.append(say("No difference shown: {names}; that is no proof that there is none.", names=same))
    return join_sentences(parts)


def _describe_costs(results: Results) -> str:
    measured = [(results.cost[name], name) for name in results.plan.variants if results.cost]
    steps = [(cost.training_step.mean, name) for cost, name in measured]
    latencies = [(cost.latency.mean, name) for cost, name in measured if cost.latency is not None]
    parts = [_describe_parameters(results)]
    if steps:
        parts.append(say("a training step {times} as long", times=_format_extremes(steps)))
    if latencies:
        parts.append(
            say("a prediction by the exported file {times} as long", times=_format_extremes(latencies))
        )
    diverged = sum(outcome.diverged for outcome in results.outcomes)
    runs = sum(len(outcome.runs) for outcome in results.outcomes)
    return say(
        "What does it cost? {costs}. {diverged} of {runs} runs diverged.",
        costs=say("; ").join(parts),
        diverged=diverged,
        runs=f"{runs:,}",
    )


def _describe_parameters(results: Results) -> str:
    added = max(outcome.runs[0].parameters_added for outcome in results.outcomes)
    if added == 0:
        return say("No extra parameters")
    share = added / results.baseline.runs[0].parameters
    extra = say_count("{number} extra parameter", "{number} extra parameters", added)
    return say("At most {extra} ({share} of the network)", extra=extra, share=f"{share:.2%}")


def _format_extremes(named: list[tuple[float, str]]) -> str:
    (low, _), (high, slowest) = min(named), max(named)
    if len(named) == 1:
        return say("{ratio} times", ratio=f"{high:.2f}")
    return say("{low} to {high} times ({slowest})", low=f"{low:.2f}", high=f"{high:.2f}", slowest=slowest)


def _list_compared(results: Results) -> list[tuple[Outcome, Comparison]]:
    return [(o, o.against_baseline) for o in results.outcomes if o.against_baseline is not None]


def _select_verdict(results: Results, verdict: str) -> list[tuple[Outcome, Comparison]]:
    return [pair for pair in _list_compared(results) if pair[1].verdict == verdict]


def _smallest_p(results: Results) -> float:
    comparisons = _list_compared(results)
    return min(1.0, comparisons[0][1].difference.smallest_p * len(comparisons))


def _format_interval(value: Mean | Paired, metric: Metric, sign: str = "") -> str:
    if math.isnan(value.low) or math.isnan(value.high):
        return ""
    return say(" ({low} to {high})", low=metric.write(value.low, sign), high=metric.write(value.high, sign))
