"""Subplots of one size in a grid that grows downwards, and what is drawn in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adaptact.languages.spoken import say
from adaptact.style import SERIES
from adaptact.text import escape_line
from adaptive_act.explain.arrays import Numbers, Pixels
from adaptive_act.explain.wording import format_share

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEARNED, START = SERIES[0], "#7F7F7F"
# Distinct in grey print too.
STYLES = ("-", "--", "-.", ":")
FAINT = "#CCCCCC"
HISTOGRAM = "#B8C4CE"
COLUMNS = 4
WIDTH = 3.3
"""Inches of a panel with its margins."""
LONGEST_SUBTITLE = 48
"""Characters that fit below a panel's name."""
_NARROWEST = 2
"""Columns that a legend needs."""
MOST_LINES = 32
"""The most channels that are drawn as a line each; more are drawn as bands."""
LONGEST_TITLE = 34
_LEFT, _RIGHT, _TOP, _GAP, _BOTTOM, _HEAD = 0.62, 0.1, 0.45, 0.16, 0.42, 0.32


@dataclass(frozen=True, slots=True)
class Grid:
    """A figure, and the axes of each panel, one above the other on one x axis."""

    figure: "Figure"
    panels: tuple[tuple["Axes", ...], ...]


def make_grid(count: int, heights: Sequence[float], columns: int = COLUMNS) -> Grid:
    """An empty grid of `count` panels with parts of these heights in inches, and room above for a legend.

    Positions are set in inches: matplotlib's own layout takes minutes for fifty layers.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    across = min(columns, count)
    panel = _TOP + _BOTTOM + sum(heights) + _GAP * (len(heights) - 1)
    size = WIDTH * max(across, _NARROWEST), panel * -(-count // across) + _HEAD
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    places = [divmod(index, across) for index in range(count)]
    return Grid(
        figure,
        tuple(
            tuple(_add_axes(figure, WIDTH * column, size[1] - _HEAD - panel * row, heights))
            for row, column in places
        ),
    )


def _add_axes(figure: "Figure", left: float, top: float, heights: Sequence[float]) -> Iterator["Axes"]:
    width, height = figure.get_size_inches()
    first: Axes | None = None
    top -= _TOP
    for tall in heights:
        top -= tall
        place = (left + _LEFT) / width, top / height, (WIDTH - _LEFT - _RIGHT) / width, tall / height
        axes = figure.add_axes(place, sharex=first)
        axes.tick_params(labelsize=7, length=2)
        axes.locator_params(axis="x", nbins=6)
        axes.spines[["top", "right"]].set_visible(False)
        if tall is not heights[-1]:
            axes.tick_params(labelbottom=False)
        first = first or axes
        top -= _GAP
        yield axes


def draw_channels(panel: "Axes", points: Numbers, curves: Numbers, colour: str) -> None:
    """One line; a thin line for each channel; or, for many channels, the median and the bands around it."""
    if len(curves) == 1:
        panel.plot(points, curves[0], color=colour, linewidth=2.0)
    elif len(curves) <= MOST_LINES:
        for curve in curves:
            panel.plot(points, curve, color=colour, linewidth=0.7, alpha=0.7)
    else:
        least, low, middle, high, most = np.quantile(curves, (0, 0.25, 0.5, 0.75, 1), axis=0)
        panel.fill_between(points, least, most, color=colour, alpha=0.18, linewidth=0)
        panel.fill_between(points, low, high, color=colour, alpha=0.35, linewidth=0)
        panel.plot(points, middle, color=colour, linewidth=1.6)


def draw_zero_lines(panel: "Axes") -> None:
    """Where x and y are zero."""
    panel.axhline(0, color=FAINT, linewidth=0.7, zorder=0)
    panel.axvline(0, color=FAINT, linewidth=0.7, zorder=0)


def fit_text(text: str, longest: int = LONGEST_TITLE) -> str:
    """The text in one line, escaped, without its middle where it is too long; no part of it is a formula."""
    kept = (longest - 1) // 2
    short = text if len(text) <= longest else f"{text[:kept]}…{text[-kept:]}"
    return escape_line(short).replace("$", r"\$")  # matplotlib takes what two dollars enclose for a formula


def add_title(panel: "Axes", name: str, second: str) -> None:
    """The layer's name in bold over a line of its own."""
    for text, points, size, weight in (
        (fit_text(name), 15, 8.5, "bold"),
        (fit_text(second, LONGEST_SUBTITLE), 4, 7, "normal"),
    ):
        panel.annotate(
            text, (0, 1), (0, points), "axes fraction", "offset points", fontsize=size, fontweight=weight
        )


def draw_histogram(strip: "Axes", edges: Numbers, shares: Numbers, below_zero: float) -> None:
    """The share of the inputs [n] between the edges [n + 1], and in words the share below 0."""
    strip.stairs(100 * shares, edges, fill=True, color=HISTOGRAM)
    strip.axvline(0, color="#888888", linewidth=0.7)
    strip.set_ylabel(say("% of\ninputs"), fontsize=7, labelpad=2)
    strip.set_ylim(bottom=0)
    strip.locator_params(axis="y", nbins=2)
    strip.annotate(
        say("{share} of inputs below 0", share=format_share(below_zero)),
        (1, 1),
        (0, 2),
        "axes fraction",
        "offset points",
        ha="right",
        fontsize=6.5,
        color="#444444",
    )


def mark_unreached(strip: "Axes") -> None:
    """Writes that no input reached the layer, in place of its histogram."""
    strip.text(
        0.5, 0.5, say("no input reached it"), transform=strip.transAxes, fontsize=7, ha="center", va="center"
    )
    strip.set_yticks([])


def add_legend(figure: "Figure", entries: Sequence["Artist"]) -> None:
    """One legend for the whole figure, at its top left."""
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=(0, 1 - 0.05 / height),
        ncols=len(entries),
        frameon=False,
        fontsize=8,
        handlelength=1.6,
        columnspacing=1.4,
    )


def render_pixels(figure: "Figure", dpi: int = 120) -> Pixels:
    """The figure as drawn, [height, width, 4]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # costs 0.5 s to import

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib's stubs leave these two out
    return np.asarray(canvas.buffer_rgba()).copy()  # type: ignore[no-untyped-call]


def stack_pictures(drawn: Sequence[Pixels]) -> Pixels:
    """The pictures one below the other, on white."""
    width = max(picture.shape[1] for picture in drawn)
    rows = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in drawn]
    return np.concatenate(rows)
