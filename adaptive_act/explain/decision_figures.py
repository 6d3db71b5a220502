"""Figures of what each layer decides: intervals for each layer, and a map of layers and classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adaptact.languages.catalogue import mark
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say
from adaptive_act.explain.arrays import Numbers
from adaptive_act.explain.decisions import Change, Decisions
from adaptive_act.explain.intervals import Interval
from adaptive_act.explain.subplots import FAINT, LEARNED, START, fit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 20
"""The most classes in the map; where there are more, it shows those that change most."""

_ROW = 0.24  # inches
_NAMES, _PANEL, _GAP = 2.9, 3.0, 0.3

_MEASURES: tuple[tuple[str, Callable[[Change], Interval], float], ...] = (
    (mark("change of accuracy\n[percentage points]"), lambda change: change.accuracy, 100.0),
    (mark("change of loss\n[nats]"), lambda change: change.loss, 1.0),
    (mark("predictions that change\n[% of samples]"), lambda change: change.changed, 100.0),
)


def decisions_figure(decisions: Decisions) -> "Figure":
    """The change of accuracy, loss and predictions when each layer is put back; one row for each layer."""
    rows = decisions.rows
    figure, panels = _make_row_figure(len(rows), [_PANEL] * len(_MEASURES))
    for panel, (title, measure, unit) in zip(panels, _MEASURES, strict=True):
        _draw_intervals(panel, [measure(row.change) for row in rows], unit)
        panel.set_xlabel(say(title), fontsize=8)
    _name_rows(panels[0], [retell(row.layer) for row in rows])
    return figure


def classes_figure(decisions: Decisions) -> "Figure":
    """The change of each class's accuracy when each layer is put back: layers down, classes across."""
    rows = decisions.rows
    points = 100 * np.array([[_accuracy_change(change) for change in row.by_class] for row in rows])
    chosen = _select_classes(points)
    names = [fit_text(decisions.classes[place], 20) for place in chosen]
    margins = _Margins(above=0.32, below=0.5 + 0.05 * max(map(len, names)), right=0.7)
    figure, (panel,) = _make_row_figure(len(rows), [max(0.46 * len(chosen), 2.0)], margins)
    shown = points[:, chosen]
    strongest = max(float(np.nanmax(np.abs(shown), initial=0.0)), 1.0)
    # Purple and orange are distinct for the colour-blind; white is no change.
    image = panel.imshow(shown, cmap="PuOr_r", vmin=-strongest, vmax=strongest, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        _write_value(panel, (column, row), float(value), image.to_rgba(value))
    panel.set_title(say("change of accuracy [percentage points]"), loc="left", fontsize=8)
    panel.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=7.5)
    panel.set_xlabel(say("class"), fontsize=8)
    _name_rows(panel, [retell(row.layer) for row in rows])
    bar = figure.colorbar(image, cax=_add_colorbar_axes(figure, panel))
    bar.ax.tick_params(labelsize=7)
    return figure


@dataclass(frozen=True, slots=True)
class _Margins:
    """Inches around the panels, besides the names on their left."""

    above: float = 0.12
    below: float = 0.62
    right: float = 0.2


def _make_row_figure(
    rows: int, widths: Sequence[float], margins: _Margins = _Margins()
) -> tuple["Figure", list["Axes"]]:
    """Panels side by side, a row of fixed height for each layer, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    tall, below = _ROW * rows, margins.below
    across = sum(widths) + _GAP * (len(widths) - 1)
    size = _NAMES + across + margins.right, below + tall + margins.above
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    lefts = [_NAMES + sum(widths[:place]) + _GAP * place for place in range(len(widths))]
    panels = [
        figure.add_axes((left / size[0], below / size[1], width / size[0], tall / size[1]))
        for left, width in zip(lefts, widths, strict=True)
    ]
    for panel in panels:
        panel.set_ylim(rows - 0.5, -0.5)
        panel.tick_params(labelsize=7.5)
        panel.set_yticks([])
    return figure, panels


def _draw_intervals(panel: "Axes", intervals: Sequence[Interval], unit: float) -> None:
    values = unit * np.array([[interval.value, interval.low, interval.high] for interval in intervals])
    for row in range(0, len(intervals), 2):
        panel.axhspan(row - 0.5, row + 0.5, color="#F4F6F8", linewidth=0, zorder=0)
    panel.axvline(0, color=START, linewidth=1.0, linestyle="--", zorder=1)
    places = np.arange(len(intervals))
    # Filled where the interval leaves out zero: seen in grey print as well.
    clear = (values[:, 1] > 0) | (values[:, 2] < 0)
    panel.hlines(places, values[:, 1], values[:, 2], color=LEARNED, linewidth=1.6, zorder=2)
    for chosen, inside in ((clear, LEARNED), (~clear, "white")):
        x, y = values[chosen, 0], places[chosen]
        panel.scatter(x, y, s=22, facecolor=inside, edgecolor=LEARNED, linewidth=1.2, zorder=3)
    panel.locator_params(axis="x", nbins=5)
    panel.axhline(len(intervals) - 1.5, color=FAINT, linewidth=1.0)
    panel.spines[["top", "right"]].set_visible(False)


def _name_rows(panel: "Axes", names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), [fit_text(name) for name in names], fontsize=7.5)
    panel.get_yticklabels()[-1].set_fontweight("bold")
    panel.tick_params(axis="y", length=0)


def _accuracy_change(change: Change | None) -> float:
    return float("nan") if change is None else change.accuracy.value


def _select_classes(points: Numbers) -> list[int]:
    strength = np.nan_to_num(np.abs(points)).max(0)
    strongest = np.argsort(-strength, kind="stable")[:MOST_CLASSES]
    return sorted(int(place) for place in strongest)


def _write_value(panel: "Axes", place: tuple[int, int], value: float, behind: Numbers) -> None:
    if value == 0:
        return
    lightness = float(np.dot((0.2126, 0.7152, 0.0722), np.power(behind[:3], 2.2)))
    ink = "black" if np.isnan(value) or lightness > 0.18 else "white"  # where both have the same contrast
    text = "–" if np.isnan(value) else f"{value:+.0f}" if abs(value) >= 10 else f"{value:+.1f}"
    panel.text(*place, text.replace("-", "−"), ha="center", va="center", fontsize=6.5, color=ink)


def _add_colorbar_axes(figure: "Figure", panel: "Axes") -> "Axes":
    box, width = panel.get_position(), figure.get_figwidth()
    return figure.add_axes((box.x1 + 0.15 / width, box.y0, 0.14 / width, box.height))
