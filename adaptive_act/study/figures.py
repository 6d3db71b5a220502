"""The figures of a study, in the Okabe-Ito colours, which are distinct for the colour-blind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adaptact.languages.spoken import say
from adaptive_act.study.learned_curves import LearnedCurve, Numbers
from adaptive_act.study.results import Curve, Results
from adaptive_act.study.statistics import Mean, Paired
from adaptive_act.study.task import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE = "#7F7F7F"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
"""Each round of the colours has its own dashes."""

_FAR = 10.0  # interquartile ranges beyond which a dot is drawn at the edge instead of squeezing all others
_COLUMNS = 3
_LAYERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def differences_figure(results: Results) -> "Figure":
    """A row a variant: each seed's difference to the baseline, the mean and its interval."""
    metric = results.task.score
    baseline = np.array([run.score for run in results.baseline.runs])
    dots, means = {}, {}
    for outcome in results.outcomes[1:]:
        assert outcome.against_baseline is not None
        dots[outcome.variant] = np.array([run.score for run in outcome.runs]) - baseline
        means[outcome.variant] = outcome.against_baseline.difference
    figure, panel = _draw_rows(dots, means, metric.scale)
    panel.axvline(0, color=BASELINE, linestyle="--", linewidth=1.4, zorder=0)
    name, baseline_name = say(metric.name), results.plan.baseline
    if metric.is_share:
        label = say(
            "{metric} minus that of {baseline}, percentage points (right is better)",
            metric=name,
            baseline=baseline_name,
        )
    else:
        label = say(
            "{metric} minus that of {baseline} (right is better)", metric=name, baseline=baseline_name
        )
    panel.set_xlabel(label)
    return figure


def scores_figure(results: Results) -> "Figure":
    """A row a variant: each seed's score, the mean and its interval."""
    metric = results.task.score
    dots = {o.variant: np.array([run.score for run in o.runs]) for o in results.outcomes}
    figure, panel = _draw_rows(dots, {o.variant: o.score for o in results.outcomes}, metric.scale)
    mean = metric.scale * results.baseline.score.mean
    panel.axvline(mean, color=BASELINE, linestyle="--", linewidth=1.4, zorder=0)
    panel.set_xlabel(
        say(
            "{metric} on the test samples (dashed: mean of {baseline})",
            metric=metric.label,
            baseline=results.plan.baseline,
        )
    )
    return figure


def learning_figure(results: Results) -> "Figure":
    """Validation score and training loss by epoch: the mean over the seeds, and the range."""
    metric = results.task.score
    figure, panels = _make_figure(9.6, 4.0, columns=2)
    for place, outcome in enumerate(results.outcomes):
        series = (
            [metric.scale * np.array(run.curves.validation_score) for run in outcome.runs],
            [np.array(run.curves.training_loss) for run in outcome.runs],
        )
        for panel, runs in zip(panels, series, strict=True):
            _draw_band(panel, runs, place, outcome.variant)
    for panel, label in zip(
        panels, (say("validation {metric}", metric=metric.label), say("training loss")), strict=True
    ):
        panel.set_xlabel(say("epoch"))
        panel.set_ylabel(label)
        panel.locator_params(axis="x", integer=True)
    if any(np.isfinite(run.curves.training_loss).any() for o in results.outcomes for run in o.runs):
        panels[1].set_yscale("log")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small", frameon=False
    )
    return figure


def learned_figure(curves: Sequence[LearnedCurve]) -> "Figure":
    """A panel a variant: what each layer learned, over where it started."""
    variants = list(dict.fromkeys(curve.variant for curve in curves))
    columns = min(_COLUMNS, len(variants))
    rows = -(-len(variants) // columns)
    figure, panels = _make_figure(3.2 * columns, 2.7 * rows, columns, rows)
    for panel, variant in zip(panels, variants, strict=False):
        for place, curve in enumerate(curve for curve in curves if curve.variant == variant):
            colour = _LAYERS[place % len(_LAYERS)]
            _draw_learned(panel, curve, colour, DASHES[place // len(_LAYERS) % len(DASHES)])
        panel.set_title(variant, fontsize="small")
        panel.legend(fontsize="x-small", frameon=False)
    for panel in panels[len(variants) :]:
        panel.remove()
    figure.supxlabel(say("input x"), fontsize="small")
    figure.supylabel(say("output f(x); grey dashes: at the start"), fontsize="small")
    return figure


def gamma_figure(curve: Curve, metric: Metric) -> "Figure":
    """The score by strength of the cubic term, and below it the share of runs that diverged."""
    figure, (top, below) = _make_figure(6.4, 4.6, rows=2)
    places = np.arange(len(curve.levels), dtype=np.float64)
    _draw_errors(top, places, [level.score for level in curve.levels], (1, curve.variant), metric)
    first = curve.levels[0]
    if first.difference is not None:
        base = metric.scale * (first.score.mean - first.difference.mean)
        top.axhline(base, color=BASELINE, linestyle="--", linewidth=1.4, label=say("baseline"))
    top.legend(fontsize="small", frameon=False)
    shares = [100 * level.diverged / level.score.n for level in curve.levels]
    below.bar(places, shares, color=SERIES[1], width=0.5)
    for panel in (top, below):
        panel.set_xticks(places, [f"{level.severity:g}" for level in curve.levels])
    top.set_ylabel(metric.label)
    below.set_ylabel(say("runs diverged, %"))
    below.set_ylim(0, 100)
    below.set_xlabel(say("γ, strength of the cubic term"))
    return figure


def robustness_figure(curves: Sequence[Curve], unit: str, metric: Metric) -> "Figure":
    """The score by severity, a line a variant; severities stand side by side, the least first."""
    figure, (panel,) = _make_figure(7.2, 4.0)
    places = np.arange(len(curves[0].levels), dtype=np.float64)
    for place, curve in enumerate(curves):
        shift = 0.3 * (place / max(1, len(curves) - 1) - 0.5)  # so that intervals stand side by side
        scores = [level.score for level in curve.levels]
        _draw_errors(panel, places + shift, scores, (place, curve.variant), metric)
    panel.set_xticks(places, [f"{level.severity:g}" for level in curves[0].levels])
    panel.set_xlabel(f"{say(curves[0].respect)}: {say(unit)}")
    panel.set_ylabel(metric.label)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def _make_figure(
    width: float, height: float, columns: int = 1, rows: int = 1
) -> tuple["Figure", list["Axes"]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.grid(color="#E5E5E5", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _style_of(place: int) -> tuple[str, str, str]:
    """Colour, mark and dashes of the variant at `place`, the baseline being at 0."""
    if place == 0:
        return BASELINE, "o", "--"
    rounds, within = divmod(place - 1, len(SERIES))
    return SERIES[within], MARKS[(within + rounds) % len(MARKS)], DASHES[rounds % len(DASHES)]


def _draw_rows(
    dots: dict[str, Numbers], means: "dict[str, Mean] | dict[str, Paired]", scale: int
) -> tuple["Figure", "Axes"]:
    """Dots and an interval for each name, from the top down, multiplied by `scale`."""
    figure, (panel,) = _make_figure(7.2, 1.0 + 0.38 * len(dots))
    low, high = _find_limits(dots, means)
    for row, (name, values) in enumerate(dots.items()):
        inside = scale * np.clip(values, low, high)
        colour = "#0072B2"
        below, above = values < low, values > high
        for mark, chosen in (("o", ~(below | above)), ("<", below), (">", above)):
            panel.plot(
                inside[chosen], np.full(chosen.sum(), row), mark, color=colour, alpha=0.35, markersize=5
            )
        interval = means[name]
        panel.plot([scale * interval.low, scale * interval.high], [row, row], color=colour, linewidth=2.2)
        panel.plot(scale * interval.mean, row, "D", color=colour, markersize=6, markeredgecolor="white")
    margin = 0.04 * (high - low)
    panel.set_xlim(scale * (low - margin), scale * (high + margin))
    panel.set_yticks(range(len(dots)), list(dots))
    panel.set_ylim(len(dots) - 0.5, -0.5)
    return figure, panel


def _find_limits(
    dots: dict[str, Numbers], means: "dict[str, Mean] | dict[str, Paired]"
) -> tuple[float, float]:
    """The range to show: of dots and intervals without distant outliers."""
    ends = [end for interval in means.values() for end in (interval.low, interval.high)]
    shown = np.concatenate([*dots.values(), ends])
    shown = shown[np.isfinite(shown)]
    lower, upper = np.quantile(shown, (0.25, 0.75))
    reach = _FAR * max(float(upper - lower), 1e-3)
    return max(float(shown.min()), float(lower) - reach), min(float(shown.max()), float(upper) + reach) + 1e-6


def _draw_band(panel: "Axes", runs: Sequence[Numbers], place: int, label: str) -> None:
    """The mean over the runs that were still under way, and the range."""
    longest = max(map(len, runs))
    table = np.full((len(runs), longest), np.nan)
    for row, run in zip(table, runs, strict=True):
        row[: len(run)] = np.where(np.isfinite(run), run, np.nan)
    there = np.isfinite(table).any(axis=0)
    if not there.any():
        return
    epochs, seen = np.arange(1, longest + 1)[there], table[:, there]
    colour, _, dashes = _style_of(place)
    panel.plot(epochs, np.nanmean(seen, axis=0), color=colour, linestyle=dashes, linewidth=1.6, label=label)
    panel.fill_between(
        epochs, np.nanmin(seen, axis=0), np.nanmax(seen, axis=0), color=colour, alpha=0.12, linewidth=0
    )


def _draw_errors(
    panel: "Axes", x: Numbers, means: Sequence[Mean], named: tuple[int, str], metric: Metric
) -> None:
    place, label = named
    colour, mark, dashes = _style_of(place)
    middle = np.array([metric.scale * mean.mean for mean in means])
    below = np.nan_to_num(np.array([metric.scale * (mean.mean - mean.low) for mean in means]))
    above = np.nan_to_num(np.array([metric.scale * (mean.high - mean.mean) for mean in means]))
    panel.errorbar(
        x,
        middle,
        yerr=(below, above),
        color=colour,
        marker=mark,
        markersize=4.5,
        linestyle=dashes,
        linewidth=1.5,
        elinewidth=0.9,
        label=label,
    )


def _draw_learned(panel: "Axes", curve: LearnedCurve, colour: str, dashes: str) -> None:
    panel.plot(curve.points, curve.start.mean(0), color=BASELINE, linestyle="--", linewidth=1.2)
    label: str | None = curve.layer
    for values in curve.learned:
        width = 1.8 if len(curve.learned) == 1 else 0.5
        panel.plot(curve.points, values, color=colour, linestyle=dashes, linewidth=width, label=label)
        label = None
