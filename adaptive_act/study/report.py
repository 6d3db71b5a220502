"""The report of a study: one content, written as Markdown with pictures and as one HTML file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from adaptact.files import replace_file
from adaptact.languages.catalogue import mark
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all
from adaptact.report.markdown import render_markdown
from adaptact.report.page import render_html
from adaptact.report.parts import Part, Picture, Section, Table, Text
from adaptive_act.study import curve_figures, figures, wording
from adaptive_act.study.learned_curves import LearnedCurve
from adaptive_act.study.method_report import method_parts
from adaptive_act.study.results import Curve, Outcome, Results
from adaptive_act.study.robustness import CORRUPTIONS
from adaptive_act.study.task import Metric
from adaptive_act.study.tuning_report import tuning_parts

MARKDOWN = "report.md"
HTML = "report.html"
TITLE = mark("Does an activation that learns pay?")

_RESPECTS = {each.name: each.unit for each in CORRUPTIONS} | {
    mark("label noise"): mark("share of the training labels that are wrong"),
    mark("class imbalance"): mark("times as many training samples of the first class as of the last"),
}


def write_report(results: Results, curves: Sequence[LearnedCurve], folder: Path) -> None:
    """Writes report.md with its figures, and report.html, which needs no other file."""
    content = make_sections(results, curves)
    for name, text in (
        (
            MARKDOWN,
            render_markdown(
                say(TITLE),
                [Section(say("The study"), [Text(wording.describe_setting(results))]), *content],
                folder,
            ),
        ),
        (HTML, render_html(say(TITLE), content, wording.describe_setting(results))),
    ):
        with replace_file(folder / name) as file:
            file.write_text(text, encoding="utf-8")


def make_sections(results: Results, curves: Sequence[LearnedCurve]) -> list[Section]:
    """The report from the answer to the details; sections without content are left out."""
    sections = [
        Section(say("The answer"), _answer_parts(results)),
        Section(say("Learning rates"), tuning_parts(results)),
        Section(say("Each seed"), _seed_parts(results)),
        Section(say("Learning curves"), _learning_parts(results, curves)),
        Section(say("Ablations"), _ablation_parts(results)),
        Section(
            say("Strength of the cubic term"),
            [part for each in results.gamma for part in _gamma_parts(each, results)],
        ),
        Section(say("Robustness"), _robustness_parts(results)),
        Section(say("Method"), method_parts(results)),
    ]
    return [section for section in sections if section.parts]


def _tabulate_answer(results: Results) -> Table:
    task, costs = results.task, wording.format_costs(results)
    numbers = () if results.data.classes else (say(task.loss.name),)
    header = (
        *say_all("activation", "starts"),
        say(task.score.name),
        _name_difference(results),
        "p",
        *say_all("verdict", "diverged", "parameters added"),
        say(task.error.name),
        *numbers,
        *(say_all("training step, ratio", "latency, ratio") if costs else ()),
    )
    rows = [
        (
            *_score_cells(o, task.score),
            f"{o.runs[0].parameters_added:,}",
            wording.format_mean(o.error, task.error),
            *(wording.format_mean(o.loss, task.loss) for _ in numbers),
            *costs.get(o.variant, ()),
        )
        for o in results.outcomes
    ]
    caption = say(
        "Means over the seeds, with 95 % intervals. p: sign-flip test on the paired differences, corrected "
        "for all comparisons by Holm's method; the intervals are not corrected."
    )
    return Table(header, rows, caption)


def _answer_parts(results: Results) -> list[Part]:
    return [
        *map(Text, wording.summarise_answer(results)),
        Picture(
            partial(figures.differences_figure, results),
            say(
                "Mean paired difference to {baseline} over the seeds, with its 95 % interval; dots "
                "are the seeds. An interval that crosses the line does not show which is better.",
                baseline=results.plan.baseline,
            ),
        ),
        _tabulate_answer(results),
    ]


def _name_difference(results: Results) -> str:
    return say("difference, points") if results.task.score.is_share else say("difference")


def _score_cells(outcome: Outcome, metric: Metric) -> tuple[str, ...]:
    diverged = say("{part} of {whole}", part=outcome.diverged, whole=len(outcome.runs))
    compared = outcome.against_baseline
    start = say("as baseline") if outcome.starts_as_baseline else say("elsewhere")
    if compared is None:
        return (
            outcome.variant,
            start,
            wording.format_mean(outcome.score, metric),
            wording.NONE,
            wording.NONE,
            say("baseline"),
            diverged,
        )
    return (
        outcome.variant,
        start,
        wording.format_mean(outcome.score, metric),
        wording.format_difference(compared.difference, metric),
        wording.format_p(compared.p),
        say(compared.verdict),
        diverged,
    )


def _seed_parts(results: Results) -> list[Part]:
    metric = results.task.score
    rows = [
        (str(seed), *(_run_cell(outcome, place, metric) for outcome in results.outcomes))
        for place, seed in enumerate(results.plan.seeds)
    ]
    header = (say("seed"), *(outcome.variant for outcome in results.outcomes))
    return [
        Picture(
            partial(figures.scores_figure, results),
            say(
                "{metric} on the test samples: one dot per seed, the mean, and its 95 % interval. "
                "Arrows at the "
                "edge stand for dots far from the rest.",
                metric=metric.title,
            ),
        ),
        Table(
            header,
            rows,
            say("On the test samples: {metric}. * marks a run that diverged.", metric=metric.label),
        ),
        *map(Text, _describe_divergences(results)),
    ]


def _run_cell(outcome: Outcome, place: int, metric: Metric) -> str:
    run = outcome.runs[place]
    return metric.write(run.score) + ("*" if run.diverged else "")


def _describe_divergences(results: Results) -> list[str]:
    return [
        say(
            "{name}, seed {seed}: {reason}.",
            name=outcome.variant,
            seed=run.seed,
            reason=retell(str(run.diverged)),
        )
        for outcome in results.outcomes
        for run in outcome.runs
        if run.diverged
    ]


def _learning_parts(results: Results, curves: Sequence[LearnedCurve]) -> list[Part]:
    parts: list[Part] = []
    if any(run.curves.training_loss for outcome in results.outcomes for run in outcome.runs):
        caption = say(
            "{metric} on the validation samples after each epoch: mean over the seeds, and the "
            "band between the "
            "lowest and the highest, beside {baseline}.",
            metric=results.task.score.title,
            baseline=results.plan.baseline,
        )
        parts.append(Picture(partial(curve_figures.learning_figure, results, "score"), caption))
        caption = say("Training loss after each epoch, drawn alike.")
        parts.append(Picture(partial(curve_figures.learning_figure, results, "loss"), caption))
    if curves:
        caption = say(
            "The curves learned with seed {seed}, one line per layer, over their start.",
            seed=results.plan.seeds[0],
        )
        parts.append(Picture(partial(figures.learned_figure, curves), caption))
    return parts


def _ablation_parts(results: Results) -> list[Part]:
    if not results.ablations:
        return []
    rows = [
        (
            each.ablation.against,
            say(each.ablation.change),
            wording.format_mean(each.score, results.task.score),
            wording.format_difference(each.difference, results.task.score),
            wording.format_p(each.difference.p),
        )
        for each in results.ablations
    ]
    caption = say(
        "{metric} after each change, on {seeds}; p is not corrected, and cannot be below "
        "{smallest} with this "
        "number of seeds.",
        metric=results.task.score.title,
        seeds=wording.count_seeds(len(results.plan.few_seeds)),
        smallest=f"{results.ablations[0].difference.smallest_p:.2g}",
    )
    return [
        Table(
            (*say_all("activation", "change"), say(results.task.score.name), _name_difference(results), "p"),
            rows,
            caption,
        )
    ]


def _gamma_parts(curve: Curve, results: Results) -> list[Part]:
    metric = results.task.score
    rows = [
        (
            f"{level.severity:g}",
            wording.format_mean(level.score, metric),
            wording.NONE if level.difference is None else wording.format_difference(level.difference, metric),
            say("{part} of {whole}", part=level.diverged, whole=level.score.n),
        )
        for level in curve.levels
    ]
    caption = say(
        "{name}: {metric} and share of diverged runs at each strength γ of its cubic term.",
        name=curve.variant,
        metric=say(metric.name),
    )
    difference = say("difference to the baseline, {unit}", unit=metric.unit_of_differences)
    header = ("γ", say(metric.name), difference, say("diverged"))
    return [
        Picture(partial(curve_figures.gamma_figure, curve, metric), caption),
        Table(header, rows, say("0 switches the cubic term off.")),
    ]


def _robustness_parts(results: Results) -> list[Part]:
    parts: list[Part] = []
    for respect in dict.fromkeys(curve.respect for curve in results.robustness):
        curves = [curve for curve in results.robustness if curve.respect == respect]
        unit, seeds = _RESPECTS[respect], wording.count_seeds(len(results.plan.few_seeds))
        caption = say(
            "Accuracy under {respect} ({unit}): mean over {seeds}, and beside it the paired "
            "difference to {baseline} "
            "with its 95 % interval.",
            baseline=results.plan.baseline,
            respect=say(respect),
            unit=say(unit),
            seeds=seeds,
        )
        parts.append(
            Picture(partial(curve_figures.robustness_figure, curves, unit, results.task.score), caption)
        )
        header = (say("activation"), *(f"{level.severity:g}" for level in curves[0].levels))
        rows = [
            (curve.variant, *(results.task.score.write(level.score.mean) for level in curve.levels))
            for curve in curves
        ]
        parts.append(
            Table(
                header, rows, say("Accuracy, %, by {respect}: {unit}.", respect=say(respect), unit=say(unit))
            )
        )
    return parts
