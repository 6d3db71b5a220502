"""How the learning rates were chosen, and what that changed, as a part of the report."""

from collections.abc import Sequence

from adaptact.report.parts import Part, Table, Text
from adaptive_act.study import wording
from adaptive_act.study.results import Results
from adaptive_act.study.task import Metric
from adaptive_act.study.tuning import RateScore


def tuning_parts(results: Results) -> list[Part]:
    """The validation score of every activation at every rate; empty where the rate was given."""
    if not results.tuning:
        return []
    plan, metric = results.plan, results.task.score
    header = ("activation", *(f"{lr:g}" for lr in plan.rates), "rate chosen")
    rows = [
        (variant, *(_format_score(score, metric) for score in scores), f"{_find_chosen(scores).lr:g}")
        for variant, scores in _group_by_variant(results).items()
    ]
    seeds = wording.format_count(plan.tuning_seeds, "seed")
    caption = (
        f"On the validation samples: {metric.label}, by learning rate; mean over {seeds} that the comparison "
        "does not use. * marks the best, which is chosen; in brackets how many trials diverged."
    )
    return [
        Text(describe_choice(results)),
        Table(header, rows, caption),
        Text(_describe_edges(results)),
        Table(
            ("activation", *(f"all at {lr:g}" for lr in plan.rates), "each at its own"),
            _lead_rows(results),
            f"What the choice changes: lead over {plan.baseline} on the validation samples, "
            f"{metric.unit_of_differences}, with one rate for all and with the rate chosen for each.",
        ),
    ]


def describe_choice(results: Results) -> str:
    """One sentence on how the rates came about."""
    plan = results.plan
    if not results.tuning:
        return f"The learning rate, {plan.rates[0]:g}, was given; the validation samples chose nothing."
    rates = ", ".join(f"{lr:g}" for lr in plan.rates)
    return (
        f"The learning rate of each activation, {plan.baseline} included, is the one of {rates} with the "
        f"best validation {results.task.score.name} over "
        f"{wording.format_count(plan.tuning_seeds, 'seed')} of their own."
    )


def _group_by_variant(results: Results) -> dict[str, list[RateScore]]:
    return {
        variant: [score for score in results.tuning if score.variant == variant]
        for variant in results.plan.all_variants
    }


def _find_chosen(scores: Sequence[RateScore]) -> RateScore:
    return next(score for score in scores if score.is_chosen)


def _format_score(score: RateScore, metric: Metric) -> str:
    diverged = f" ({score.diverged})" if score.diverged else ""
    return f"{metric.write(score.mean)}{' *' * score.is_chosen}{diverged}"


def _describe_edges(results: Results) -> str:
    """Whose best rate is the lowest or highest tried, so that one beyond may be better still."""
    rates = results.plan.rates
    at = {
        edge: [score.variant for score in results.tuning if score.is_chosen and score.lr == lr]
        for edge, lr in (("lowest", rates[0]), ("highest", rates[-1]))
    }
    edges = [f"the {edge} for {', '.join(names)}" for edge, names in at.items() if names]
    if not edges:
        return "No rate chosen is the lowest or highest of those tried."
    return f"The best rate is {' and '.join(edges)}: a rate beyond those tried may be better still."


def _lead_rows(results: Results) -> list[tuple[str, ...]]:
    columns = {name: [*scores, _find_chosen(scores)] for name, scores in _group_by_variant(results).items()}
    baseline, metric = columns.pop(results.plan.baseline), results.task.score
    return [
        (
            name,
            *(metric.write(one.mean - base.mean, "+") for one, base in zip(scores, baseline, strict=True)),
        )
        for name, scores in columns.items()
    ]
