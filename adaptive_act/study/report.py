"""The report of a study: one content, written as Markdown with pictures and as one HTML file."""

from collections.abc import Sequence
from pathlib import Path

from adaptact.files import replace_file
from adaptive_act.page import Part, Picture, Section, Table, Text, render_html, render_markdown
from adaptive_act.study import figures, wording
from adaptive_act.study.learned_curves import LearnedCurve
from adaptive_act.study.results import Curve, Outcome, Results
from adaptive_act.study.robustness import CORRUPTIONS
from adaptive_act.study.statistics import BINS
from adaptive_act.study.tuning_report import describe_choice, tuning_parts

MARKDOWN = "report.md"
HTML = "report.html"
TITLE = "Does an activation that learns pay?"

_RESPECTS = {each.name: each.unit for each in CORRUPTIONS} | {
    "label noise": "share of the training labels that are wrong",
    "class imbalance": "times as many training samples of the first class as of the last",
}

_TIMES = (
    "Training steps took turns in one process on one thread, and so did the exported files. A ratio divides "
    "by the baseline's time in the same round; the median ratio is given. Latency is that of one sample."
)


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
            "Strength of the cubic term", [part for each in results.gamma for part in _gamma_parts(each)]
        ),
        Section("Robustness", _robustness_parts(results)),
        Section("Method", _method_parts(results)),
    ]
    return [section for section in sections if section.parts]


def _answer_parts(results: Results) -> list[Part]:
    header = ("activation", "starts", "accuracy", "difference, points", "p", "verdict", "diverged")
    costs = wording.format_costs(results)
    more = ("parameters added", "ECE") + (("training step, ratio", "latency, ratio") if costs else ())
    rows = [
        (
            *_accuracy_cells(o),
            f"{o.runs[0].parameters_added:,}",
            wording.format_percent(o.error),
            *costs.get(o.variant, ()),
        )
        for o in results.outcomes
    ]
    return [
        *map(Text, wording.summarise_answer(results)),
        Picture(
            figures.differences_figure(results),
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


def _accuracy_cells(outcome: Outcome) -> tuple[str, ...]:
    diverged = f"{outcome.diverged} of {len(outcome.runs)}"
    compared = outcome.against_baseline
    start = "as baseline" if outcome.starts_as_baseline else "elsewhere"
    if compared is None:
        return (
            outcome.variant,
            start,
            wording.format_percent(outcome.score),
            wording.NONE,
            wording.NONE,
            "baseline",
            diverged,
        )
    return (
        outcome.variant,
        start,
        wording.format_percent(outcome.score),
        wording.format_points(compared.difference),
        wording.format_p(compared.p),
        compared.verdict,
        diverged,
    )


def _seed_parts(results: Results) -> list[Part]:
    rows = [
        (str(seed), *(_run_cell(outcome, place) for outcome in results.outcomes))
        for place, seed in enumerate(results.plan.seeds)
    ]
    header = ("seed", *(outcome.variant for outcome in results.outcomes))
    return [
        Picture(
            figures.accuracies_figure(results),
            "Accuracy on the test samples: one dot per seed, the mean, and its 95 % interval. Arrows at the "
            "edge stand for dots far from the rest.",
        ),
        Table(header, rows, "Accuracy on the test samples, %. * marks a run that diverged."),
        *map(Text, _describe_divergences(results)),
    ]


def _run_cell(outcome: Outcome, place: int) -> str:
    run = outcome.runs[place]
    return f"{run.score:.2%}".rstrip("%") + ("*" if run.diverged else "")


def _describe_divergences(results: Results) -> list[str]:
    return [
        f"{outcome.variant}, seed {run.seed}: {run.diverged}."
        for outcome in results.outcomes
        for run in outcome.runs
        if run.diverged
    ]


def _learning_parts(results: Results, curves: Sequence[LearnedCurve]) -> list[Part]:
    parts: list[Part] = [
        Picture(
            figures.learning_figure(results),
            "Accuracy on the validation samples and loss on the training samples after each epoch: mean over "
            "the seeds, and the band between the lowest and the highest.",
        )
    ]
    if curves:
        caption = (
            f"The curves learned with seed {results.plan.seeds[0]}, one line per layer, over their start."
        )
        parts.append(Picture(figures.learned_figure(curves), caption))
    return parts


def _ablation_parts(results: Results) -> list[Part]:
    if not results.ablations:
        return []
    rows = [
        (
            each.ablation.against,
            each.ablation.change,
            wording.format_percent(each.score),
            wording.format_points(each.difference),
            wording.format_p(each.difference.p),
        )
        for each in results.ablations
    ]
    count = wording.format_count(len(results.plan.few_seeds), "seed")
    caption = (
        f"Accuracy after each change, on {count}; p is not corrected, and cannot be below "
        f"{results.ablations[0].difference.smallest_p:.2g} with this number of seeds."
    )
    return [Table(("activation", "change", "accuracy", "difference, points", "p"), rows, caption)]


def _gamma_parts(curve: Curve) -> list[Part]:
    rows = [
        (
            f"{level.severity:g}",
            wording.format_percent(level.score),
            wording.NONE if level.difference is None else wording.format_points(level.difference),
            f"{level.diverged} of {level.score.n}",
        )
        for level in curve.levels
    ]
    caption = f"{curve.variant}: accuracy and share of diverged runs at each strength γ of its cubic term."
    header = ("γ", "accuracy", "difference to the baseline, points", "diverged")
    return [
        Picture(figures.gamma_figure(curve), caption),
        Table(header, rows, "0 switches the cubic term off."),
    ]


def _robustness_parts(results: Results) -> list[Part]:
    parts: list[Part] = []
    for respect in dict.fromkeys(curve.respect for curve in results.robustness):
        curves = [curve for curve in results.robustness if curve.respect == respect]
        unit = _RESPECTS[respect]
        seeds = wording.format_count(len(results.plan.few_seeds), "seed")
        caption = f"Accuracy under {respect} ({unit}): mean over {seeds}, with its 95 % interval."
        parts.append(Picture(figures.robustness_figure(curves, unit), caption))
        header = ("activation", *(f"{level.severity:g}" for level in curves[0].levels))
        rows = [
            (curve.variant, *(f"{level.score.mean:.2%}".rstrip("%") for level in curve.levels))
            for curve in curves
        ]
        parts.append(Table(header, rows, f"Accuracy, %, by {respect}: {unit}."))
    return parts


def _method_parts(results: Results) -> list[Part]:
    training, data = results.plan.training, results.data
    away = [o.variant for o in results.outcomes[1:] if not o.starts_as_baseline]
    not_measured = [
        f"Latency of {name} was not measured: {cost.not_measured}."
        for name, cost in results.cost.items()
        if cost.not_measured
    ]
    texts = [
        "For one seed every variant has the same initial weights and gets the same batches in the same "
        "order; differences are taken seed by seed. All runs share one split of the data.",
        _describe_starts(results, away),
        f"A run diverged if its loss was not finite, or if its test accuracy is no better than always naming "
        f"the most frequent class ({data.chance:.1%}) would give by luck. Diverged runs stay in every mean "
        "and test as they ended, and are also counted.",
        f"The test samples are used once, after training. {describe_choice(results)} "
        f"{_describe_stopping(training.patience)}",
        f"ECE: expected calibration error on the test samples, {BINS} bins. Intervals are Student's t over "
        "the seeds; for times, of the median, by order statistics.",
        *([_TIMES] if results.cost else []),
        *not_measured,
    ]
    return [*map(Text, texts), Table(("setting", "value"), _setting_rows(results))]


def _describe_stopping(patience: int | None) -> str:
    if patience is None:
        return "Every run trains for all epochs; its last state is tested."
    epochs = wording.format_count(patience, "epoch")
    return (
        f"Training stops after {epochs} without a better validation loss, and the model of the best epoch is "
        "kept."
    )


def _describe_starts(results: Results, away: Sequence[str]) -> str:
    baseline = results.plan.baseline
    if not away:
        return f"Every activation starts as {baseline}, at its fixed point."
    return (
        f"Learned activations that can equal {baseline} start there, at their fixed point. These start "
        f"elsewhere, at their own initial values or as another plain activation: {', '.join(away)}."
    )


def _setting_rows(results: Results) -> list[tuple[str, str]]:
    plan, training = results.plan, results.plan.training
    rate = "that of the weights" if training.activation_lr is None else f"{training.activation_lr:g}"
    return [
        ("data", f"{results.data.name}, digest {results.data.digest[:16]}"),
        ("sample", " x ".join(map(str, results.data.shape))),
        ("split seed", str(plan.data.split_seed)),
        ("network", plan.architecture.name),
        ("parameters with the baseline", f"{results.baseline.runs[0].parameters:,}"),
        ("seeds", ", ".join(map(str, plan.seeds))),
        ("epochs, batch", f"{training.epochs}, {training.batch}"),
        (
            "optimizer, schedule",
            f"{training.optimizer}, {training.schedule}",
        ),
        ("rates to choose from", ", ".join(f"{lr:g}" for lr in plan.rates)),
        ("rate of the activations", rate),
        ("weight decay", f"{training.weight_decay:g}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in results.versions.items())),
    ]
