"""The figures of a study that compare seeds: differences, scores, and what was learned."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adaptact.languages.spoken import say
from adaptact.style import SERIES
from adaptive_act.study.learned_curves import LearnedCurve, Numbers
from adaptive_act.study.panels import BASELINE, DASHES, make_figure
from adaptive_act.study.results import Results
from adaptive_act.study.statistics import Mean, Paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAR = 10.0  # interquartile ranges beyond which a dot is drawn at the edge instead of squeezing all others
_COLUMNS = 3
_LAYERS = SERIES[:4]


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


def learned_figure(curves: Sequence[LearnedCurve]) -> "Figure":
    """A panel a variant: what each layer learned, over where it started."""
    variants = list(dict.fromkeys(curve.variant for curve in curves))
    columns = min(_COLUMNS, len(variants))
    rows = -(-len(variants) // columns)
    figure, panels = make_figure(3.2 * columns, 2.7 * rows, columns, rows)
    for panel, variant in zip(panels, variants, strict=False):
        for place, curve in enumerate(curve for curve in curves if curve.variant == variant):
            colour = _LAYERS[place % len(_LAYERS)]
            _draw_learned(panel, curve, colour, DASHES[place // len(_LAYERS) % len(DASHES)])
        panel.set_title(variant, fontsize="small")
        panel.tick_params(labelsize="x-small")
    for panel in panels[len(variants) :]:
        panel.remove()
    _name_layers(figure, panels[: len(variants)], columns + 1)
    figure.supxlabel(say("input x"), fontsize="small")
    figure.supylabel(f"{say('output f(x)')}\n({say('grey dashes: at the start')})", fontsize="small")
    return figure


def _name_layers(figure: "Figure", panels: "Sequence[Axes]", columns: int) -> None:
    """One legend above all panels, where it covers no curve."""
    handles = [panel.get_legend_handles_labels() for panel in panels]
    lines = {label: line for pair in handles for line, label in zip(*pair, strict=True)}
    place: dict[str, Any] = {"loc": "outside upper left", "ncols": columns}
    figure.legend(list(lines.values()), list(lines), fontsize="small", frameon=False, **place)


def _draw_rows(
    dots: dict[str, Numbers], means: "dict[str, Mean] | dict[str, Paired]", scale: int
) -> tuple["Figure", "Axes"]:
    """Dots and an interval for each name, from the top down, multiplied by `scale`."""
    figure, (panel,) = make_figure(7.2, 1.0 + 0.38 * len(dots))
    low, high = _find_limits(dots, means)
    for row, (name, values) in enumerate(dots.items()):
        inside = scale * np.clip(values, low, high)
        colour = SERIES[0]
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


def _draw_learned(panel: "Axes", curve: LearnedCurve, colour: str, dashes: str) -> None:
    panel.plot(curve.points, curve.start.mean(0), color=BASELINE, linestyle="--", linewidth=1.2)
    label: str | None = curve.layer
    for values in curve.learned:
        width = 1.8 if len(curve.learned) == 1 else 0.5
        panel.plot(curve.points, values, color=colour, linestyle=dashes, linewidth=width, label=label)
        label = None
