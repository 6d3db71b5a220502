"""The report of a study: one content, written as Markdown with pictures and as one HTML file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from adaptact.files import replace_file
from adaptact.report.markdown import render_markdown
from adaptact.report.page import render_html
from adaptact.report.parts import Part, Picture, Section, Table, Text
from adaptive_act.study import figures, wording
from adaptive_act.study.learned_curves import LearnedCurve
from adaptive_act.study.method_report import method_parts
from adaptive_act.study.results import Curve, Outcome, Results
from adaptive_act.study.robustness import CORRUPTIONS
from adaptive_act.study.task import Metric
from adaptive_act.study.tuning_report import tuning_parts

MARKDOWN = "report.md"
HTML = "report.html"
TITLE = "Does an activation that learns pay?"

_RESPECTS = {each.name: each.unit for each in CORRUPTIONS} | {
    "label noise": "share of the training labels that are wrong",
    "class imbalance": "times as many training samples of the first class as of the last",
}


def write_report(results: Results, curves: Sequence[LearnedCurve], folder: Path) -> None:
    """Writes report.md with its figures, and report.html, which needs no other file."""
    content = make_sections(results, curves)
    for name, text in (
        (
            MARKDOWN,
            render_markdown(
                TITLE, [Section("The study", [Text(wording.describe_setting(results))]), *content], folder
            ),
        ),
        (HTML, render_html(TITLE, content, wording.describe_setting(results))),
    ):
        with replace_file(folder / name) as file:
            file.write_text(text, encoding="utf-8")


def make_sections(results: Results, curves: Sequence[LearnedCurve]) -> list[Section]:
    """The report from the answer to the details; sections without content are left out."""
    sections = [
        Section("The answer", _answer_parts(results)),
        Section("Learning rates", tuning_parts(results)),
        Section("Each seed", _seed_parts(results)),
        Section("Learning curves", _learning_parts(results, curves)),
        Section("Ablations", _ablation_parts(results)),
        Section(
            "Strength of the cubic term",
            [part for each in results.gamma for part in _gamma_parts(each, results)],
        ),
        Section("Robustness", _robustness_parts(results)),
        Section("Method", method_parts(results)),
    ]
    return [section for section in sections if section.parts]


def _answer_parts(results: Results) -> list[Part]:
    task = results.task
    header = ("activation", "starts", task.score.name, _name_difference(results), "p", "verdict", "diverged")
    costs = wording.format_costs(results)
    numbers = () if results.data.classes else (task.loss.name,)
    more = ("parameters added", task.error.name, *numbers) + (
        ("training step, ratio", "latency, ratio") if costs else ()
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
    return [
        *map(Text, wording.summarise_answer(results)),
        Picture(
            partial(figures.differences_figure, results),
            f"Mean paired difference to {results.plan.baseline} over the seeds, with its 95 % interval; dots "
            "are the seeds. An interval that crosses the line does not show which is better.",
        ),
        Table(
            header + more,
            rows,
            "Means over the seeds, with 95 % intervals. p: sign-flip test on the paired differences, "
            "corrected for all comparisons by Holm's method; the intervals are not corrected.",
        ),
    ]


def _name_difference(results: Results) -> str:
    return "difference, points" if results.task.score.is_share else "difference"


def _score_cells(outcome: Outcome, metric: Metric) -> tuple[str, ...]:
    diverged = f"{outcome.diverged} of {len(outcome.runs)}"
    compared = outcome.against_baseline
    start = "as baseline" if outcome.starts_as_baseline else "elsewhere"
    if compared is None:
        return (
            outcome.variant,
            start,
            wording.format_mean(outcome.score, metric),
            wording.NONE,
            wording.NONE,
            "baseline",
            diverged,
        )
    return (
        outcome.variant,
        start,
        wording.format_mean(outcome.score, metric),
        wording.format_difference(compared.difference, metric),
        wording.format_p(compared.p),
        compared.verdict,
        diverged,
    )


def _seed_parts(results: Results) -> list[Part]:
    metric = results.task.score
    rows = [
        (str(seed), *(_run_cell(outcome, place, metric) for outcome in results.outcomes))
        for place, seed in enumerate(results.plan.seeds)
    ]
    header = ("seed", *(outcome.variant for outcome in results.outcomes))
    return [
        Picture(
            partial(figures.scores_figure, results),
            f"{metric.title} on the test samples: one dot per seed, the mean, and its 95 % interval. "
            "Arrows at the edge stand for dots far from the rest.",
        ),
        Table(header, rows, f"On the test samples: {metric.label}. * marks a run that diverged."),
        *map(Text, _describe_divergences(results)),
    ]


def _run_cell(outcome: Outcome, place: int, metric: Metric) -> str:
    run = outcome.runs[place]
    return metric.write(run.score) + ("*" if run.diverged else "")


def _describe_divergences(results: Results) -> list[str]:
    return [
        f"{outcome.variant}, seed {run.seed}: {run.diverged}."
        for outcome in results.outcomes
        for run in outcome.runs
        if run.diverged
    ]


def _learning_parts(results: Results, curves: Sequence[LearnedCurve]) -> list[Part]:
    parts: list[Part] = []
    if any(run.curves.training_loss for outcome in results.outcomes for run in outcome.runs):
        parts.append(
            Picture(
                partial(figures.learning_figure, results),
                f"{results.task.score.title} on the validation samples and training loss after "
                "each epoch: mean over the seeds, and the band between the lowest and the highest.",
            )
        )
    if curves:
        caption = (
            f"The curves learned with seed {results.plan.seeds[0]}, one line per layer, over their start."
        )
        parts.append(Picture(partial(figures.learned_figure, curves), caption))
    return parts


def _ablation_parts(results: Results) -> list[Part]:
    if not results.ablations:
        return []
    rows = [
        (
            each.ablation.against,
            each.ablation.change,
            wording.format_mean(each.score, results.task.score),
            wording.format_difference(each.difference, results.task.score),
            wording.format_p(each.difference.p),
        )
        for each in results.ablations
    ]
    count = wording.format_count(len(results.plan.few_seeds), "seed")
    caption = (
        f"{results.task.score.title} after each change, on {count}; p is not corrected, and cannot be below "
        f"{results.ablations[0].difference.smallest_p:.2g} with this number of seeds."
    )
    return [
        Table(
            ("activation", "change", results.task.score.name, _name_difference(results), "p"), rows, caption
        )
    ]


def _gamma_parts(curve: Curve, results: Results) -> list[Part]:
    metric = results.task.score
    rows = [
        (
            f"{level.severity:g}",
            wording.format_mean(level.score, metric),
            wording.NONE if level.difference is None else wording.format_difference(level.difference, metric),
            f"{level.diverged} of {level.score.n}",
        )
        for level in curve.levels
    ]
    caption = (
        f"{curve.variant}: {metric.name} and share of diverged runs at each strength γ of its cubic term."
    )
    header = ("γ", metric.name, f"difference to the baseline, {metric.unit_of_differences}", "diverged")
    return [
        Picture(partial(figures.gamma_figure, curve, metric), caption),
        Table(header, rows, "0 switches the cubic term off."),
    ]


def _robustness_parts(results: Results) -> list[Part]:
    parts: list[Part] = []
    for respect in dict.fromkeys(curve.respect for curve in results.robustness):
        curves = [curve for curve in results.robustness if curve.respect == respect]
        unit = _RESPECTS[respect]
        seeds = wording.format_count(len(results.plan.few_seeds), "seed")
        caption = f"Accuracy under {respect} ({unit}): mean over {seeds}, with its 95 % interval."
        parts.append(Picture(partial(figures.robustness_figure, curves, unit, results.task.score), caption))
        header = ("activation", *(f"{level.severity:g}" for level in curves[0].levels))
        rows = [
            (curve.variant, *(results.task.score.write(level.score.mean) for level in curve.levels))
            for curve in curves
        ]
        parts.append(Table(header, rows, f"Accuracy, %, by {respect}: {unit}."))
    return parts
