"""The figures of a study that follow something: the epochs, a severity, the strength of a term."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from adaptact.languages.spoken import say
from adaptact.style import SERIES
from adaptive_act.study.learned_curves import Numbers
from adaptive_act.study.panels import BASELINE, make_figure, style_of
from adaptive_act.study.results import Curve, Outcome, Results
from adaptive_act.study.statistics import Mean, Paired
from adaptive_act.study.task import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_WITHIN_A_DECADE = (1.0, 2.0, 3.0, 4.0, 6.0)
_MOST_TICKS = 8
_LEGEND = 7
"""Names beside each other in a legend."""
_SIDE_BY_SIDE = 0.3
"""The part of the way to the next severity over which intervals are spread."""


def learning_figure(results: Results, shown: Literal["score", "loss"]) -> "Figure":
    """A panel a variant, over the baseline in grey: the mean over the seeds by epoch, and the range."""
    variants = results.outcomes[1:]
    columns = min(_COLUMNS, len(variants))
    figure, panels = make_figure(
        2.5 * max(columns, 2), 0.6 + 2.0 * -(-len(variants) // columns), columns, -(-len(variants) // columns)
    )
    baseline = _list_runs(results, results.baseline, shown)
    limits = _find_limits([baseline, *(_list_runs(results, outcome, shown) for outcome in variants)])
    for panel, outcome in zip(panels, variants, strict=False):
        _draw_band(panel, baseline, BASELINE, "--")
        _draw_band(panel, _list_runs(results, outcome, shown), SERIES[0], "-")
        panel.set_title(outcome.variant, fontsize="small", loc="left")
        panel.locator_params(axis="x", integer=True)
        if limits is not None:
            panel.set_ylim(*limits)
        if shown == "loss" and limits is not None and limits[0] > 0:  # a loop of one's own may go below
            _scale_by_logarithm(panel, limits)
        panel.tick_params(labelsize="x-small")
    for panel in panels[len(variants) :]:
        panel.remove()
    figure.supxlabel(say("epoch"), fontsize="small")
    metric = results.task.score.label
    label = say("validation {metric}", metric=metric) if shown == "score" else say("training loss")
    figure.supylabel(
        f"{label}\n({say('grey dashes: {baseline}', baseline=results.plan.baseline)})", fontsize="small"
    )
    return figure


def _scale_by_logarithm(panel: "Axes", limits: tuple[float, float]) -> None:
    """An axis whose ticks have room for their numbers, be it over decades or over a part of one."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415  # costs 0.5 s to import

    panel.set_yscale("log")
    low, high = limits
    within = _WITHIN_A_DECADE if high < 10 * low else (1.0,)
    panel.yaxis.set_major_locator(LogLocator(subs=within, numticks=_MOST_TICKS))
    panel.yaxis.set_major_formatter("{x:.2g}")
    panel.yaxis.set_minor_formatter(NullFormatter())


def gamma_figure(curve: Curve, metric: Metric) -> "Figure":
    """The score by strength of the cubic term; below it the share of runs that diverged, where any did."""
    shares = [100 * level.diverged / level.score.n for level in curve.levels]
    rows = 2 if any(shares) else 1
    figure, panels = make_figure(6.4, 1.2 + 2.0 * rows, rows=rows)
    places = np.arange(len(curve.levels), dtype=np.float64)
    _draw_errors(panels[0], places, [level.score for level in curve.levels], (1, curve.variant), metric)
    first = curve.levels[0]
    if first.difference is not None:
        base = metric.scale * (first.score.mean - first.difference.mean)
        panels[0].axhline(base, color=BASELINE, linestyle="--", linewidth=1.4, label=say("baseline"))
    figure.legend(loc="outside upper left", ncols=2, fontsize="small", frameon=False)
    panels[0].set_ylabel(metric.label)
    if rows == 2:
        panels[1].bar(places, shares, color=SERIES[1], width=0.5)
        panels[1].set_ylabel(say("runs diverged, %"))
        panels[1].set_ylim(0, 100)
    for panel in panels:
        panel.set_xticks(places, [f"{level.severity:g}" for level in curve.levels])
    panels[-1].set_xlabel(say("γ, strength of the cubic term"))
    return figure


def robustness_figure(curves: Sequence[Curve], unit: str, metric: Metric) -> "Figure":
    """The mean score by severity, a line a variant; beside it each one's paired difference to the baseline.

    Scores stand exactly at their severity: on a steep curve one that is moved aside looks better or worse.
    The differences, with their intervals, stand side by side.
    """
    figure, (left, right) = make_figure(9.0, 3.3, columns=2)
    places = np.arange(len(curves[0].levels), dtype=np.float64)
    compared = [curve for curve in curves if any(level.difference is not None for level in curve.levels)]
    for place, curve in enumerate(curves):
        colour, mark, dashes = style_of(place)
        means = [metric.scale * level.score.mean for level in curve.levels]
        left.plot(
            places, means, color=colour, marker=mark, markersize=4.5, linestyle=dashes, label=curve.variant
        )
        if curve in compared:
            rank = compared.index(curve) / max(1, len(compared) - 1) - 0.5 if len(compared) > 1 else 0.0
            differences = [level.difference for level in curve.levels]
            _draw_errors(right, places + _SIDE_BY_SIDE * rank, differences, (place, None), metric, "none")
    right.axhline(0, color=BASELINE, linestyle="--", linewidth=1.4, zorder=0)
    for panel in (left, right):
        panel.set_xticks(places, [f"{level.severity:g}" for level in curves[0].levels])
        panel.set_xlim(-0.3, len(places) - 0.7)
    left.set_ylabel(metric.label)
    difference = say("difference to the baseline, {unit}", unit=metric.unit_of_differences)
    right.set_ylabel(difference, fontsize="small")
    figure.supxlabel(f"{say(curves[0].respect)}: {say(unit)}", fontsize="medium")
    figure.legend(loc="outside upper left", ncols=min(len(curves), _LEGEND), fontsize="small", frameon=False)
    return figure


def _list_runs(results: Results, outcome: Outcome, shown: Literal["score", "loss"]) -> list[Numbers]:
    if shown == "loss":
        return [np.array(run.curves.training_loss, dtype=np.float64) for run in outcome.runs]
    scale = results.task.score.scale
    return [scale * np.array(run.curves.validation_score, dtype=np.float64) for run in outcome.runs]


def _find_limits(series: Sequence[Sequence[Numbers]]) -> tuple[float, float] | None:
    """The range of all that is finite, the same for every panel, but for the lowest twentieth."""
    values = np.concatenate([np.asarray(run).ravel() for runs in series for run in runs] or [np.empty(0)])
    values = values[np.isfinite(values)]
    if not values.size or values.min() == values.max():
        return None
    low, high = float(np.quantile(values, 0.05)), float(values.max())
    margin = 0.05 * (high - low)
    return (max(low - margin, float(values.min())), high + margin) if high > low else None


def _draw_band(panel: "Axes", runs: Sequence[Numbers], colour: str, dashes: str) -> None:
    """The mean over the runs that were still under way, and the range."""
    longest = max(map(len, runs))
    table = np.full((len(runs), longest), np.nan)
    for row, run in zip(table, runs, strict=True):
        row[: len(run)] = np.where(np.isfinite(run), run, np.nan)
    there = np.isfinite(table).any(axis=0)
    if not there.any():
        return
    epochs, seen = np.arange(1, longest + 1)[there], table[:, there]
    panel.plot(epochs, np.nanmean(seen, axis=0), color=colour, linestyle=dashes, linewidth=1.6)
    panel.fill_between(
        epochs, np.nanmin(seen, axis=0), np.nanmax(seen, axis=0), color=colour, alpha=0.15, linewidth=0
    )


def _draw_errors(
    panel: "Axes",
    x: Numbers,
    means: "Sequence[Mean | Paired | None]",
    named: tuple[int, str | None],
    metric: Metric,
    line: str = "",
) -> None:
    """Means with their intervals, in the style of the variant's place; without a line where it is `none`."""
    place, label = named
    colour, mark, dashes = style_of(place)
    known = [(at, mean) for at, mean in zip(x, means, strict=True) if mean is not None]
    middle = np.array([metric.scale * mean.mean for _, mean in known])
    below = np.nan_to_num(np.array([metric.scale * (mean.mean - mean.low) for _, mean in known]))
    above = np.nan_to_num(np.array([metric.scale * (mean.high - mean.mean) for _, mean in known]))
    panel.errorbar(
        [at for at, _ in known],
        middle,
        yerr=(below, above),
        color=colour,
        marker=mark,
        markersize=4.5,
        linestyle=line or dashes,
        linewidth=1.5,
        elinewidth=0.9,
        label=label,
    )
