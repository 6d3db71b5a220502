"""How the learning rates were chosen, and what that changed, as a part of the report."""

from collections.abc import Sequence

from adaptact.languages.joining import join_list
from adaptact.languages.spoken import say
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
    header = (say("activation"), *(f"{lr:g}" for lr in plan.rates), say("rate chosen"))
    rows = [
        (variant, *(_format_score(score, metric) for score in scores), f"{_find_chosen(scores).lr:g}")
        for variant, scores in _group_by_variant(results).items()
    ]
    caption = say(
        "On the validation samples: {metric}, by learning rate; mean over {seeds} that the "
        "comparison does not "
        "use. * marks the best, which is chosen; in brackets how many trials diverged.",
        metric=metric.label,
        seeds=wording.count_seeds(plan.tuning_seeds),
    )
    return [
        Text(describe_choice(results)),
        Table(header, rows, caption),
        Text(_describe_edges(results)),
        Table(
            (
                say("activation"),
                *(say("all at {rate}", rate=f"{lr:g}") for lr in plan.rates),
                say("each at its own"),
            ),
            _lead_rows(results),
            say(
                "What the choice changes: lead over {baseline} on the validation samples, {unit}, "
                "with one rate "
                "for all and with the rate chosen for each.",
                baseline=plan.baseline,
                unit=metric.unit_of_differences,
            ),
        ),
    ]


def describe_choice(results: Results) -> str:
    """One sentence on how the rates came about."""
    plan = results.plan
    if not results.tuning:
        return say(
            "The learning rate, {rate}, was given; the validation samples chose nothing.",
            rate=f"{plan.rates[0]:g}",
        )
    return say(
        "The learning rate of each activation, {baseline} included, is the one of {rates} with the best "
        "validation {metric} over {seeds} of their own.",
        baseline=plan.baseline,
        rates=join_list(f"{lr:g}" for lr in plan.rates),
        metric=say(results.task.score.name),
        seeds=wording.count_seeds(plan.tuning_seeds),
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
    lowest, highest = (
        join_list(score.variant for score in results.tuning if score.is_chosen and score.lr == lr)
        for lr in (rates[0], rates[-1])
    )
    if lowest and highest:
        return say(
            "The best rate is the lowest for {lowest} and the highest for {highest}: a rate "
            "beyond those tried "
            "may be better still.",
            lowest=lowest,
            highest=highest,
        )
    if lowest:
        return say(
            "The best rate is the lowest for {names}: a rate beyond those tried may be better still.",
            names=lowest,
        )
    if highest:
        return say(
            "The best rate is the highest for {names}: a rate beyond those tried may be better still.",
            names=highest,
        )
    return say("No rate chosen is the lowest or highest of those tried.")


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
