"""The learned curves, drawn against where they started, over what reached them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from adaptact.files import replace_file
from adaptact.languages.spoken import say
from adaptive_act.activation import Activation
from adaptive_act.explain.arrays import Numbers
from adaptive_act.explain.layers import POINTS, Layer, read_values
from adaptive_act.explain.shape import evaluate_curve
from adaptive_act.explain.subplots import (
    HISTOGRAM,
    LEARNED,
    LONGEST_SUBTITLE,
    MOST_LINES,
    START,
    add_legend,
    add_title,
    draw_channels,
    draw_histogram,
    draw_zero_lines,
    make_grid,
    mark_unreached,
)
from adaptive_act.explain.wording import format_range

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_CURVE, _STRIP = 2.0, 0.55  # inches


@dataclass(frozen=True, slots=True)
class InputHistogram:
    """The inputs of a layer: the share [n] between the edges [n + 1], and the share below 0."""

    edges: Numbers
    shares: Numbers
    below_zero: float


@dataclass(frozen=True, slots=True)
class CurvePlot:
    """The data of one panel: curves [C, n] at the points [n]; `start` is None where it is not known."""

    name: str
    kind: str
    values: Mapping[str, Numbers]
    points: Numbers
    learned: Numbers
    start: Numbers | None
    reached: InputHistogram | None


def draw_curves(
    activations: Mapping[str, Activation],
    starts: Mapping[str, Activation],
    path: str | Path,
    span: float = 4.0,
) -> None:
    """Writes a picture with one panel for each layer: its learned curve over its start, on common axes.

    Both mappings are by layer name. x runs from -span to span; a layer that learned per channel shows a thin
    line for each channel, and bands where there are more than 32.
    """
    points = np.linspace(-span, span, POINTS)
    grid = make_grid(len(activations), [_CURVE])
    panels = [panel for (panel,) in grid.panels]
    for panel, (layer, activation) in zip(panels, activations.items(), strict=True):
        _draw_curve(
            panel,
            points,
            evaluate_curve(activation.curve, points),
            evaluate_curve(starts[layer].curve, points),
        )
        add_title(panel, layer, _describe_values(type(activation).__name__, read_values(activation)))
    low, high = (bound(panel.get_ylim()[end] for panel in panels) for end, bound in ((0, min), (1, max)))
    for panel in panels:
        panel.set_ylim(low, high)
        panel.set_xlabel(say("input x"), fontsize=7.5)
    channels = [len(activation.curve(torch.zeros(1))) for activation in activations.values()]
    _add_legend(grid.figure, channels, started=True, reached=False)
    with replace_file(Path(path)) as file:
        grid.figure.savefig(file, format=Path(path).suffix[1:] or "png", dpi=120)


def curves_figure(layers: Sequence[Layer]) -> "Figure":
    """One panel for each layer: its curve over its start, and below it the histogram of its inputs.

    Each panel has axes of its own, over the range that the data reached.
    """
    return plot_curves([_make_plot(layer) for layer in layers])


def plot_curves(layers: Sequence[CurvePlot]) -> "Figure":
    """One panel for each layer, with a histogram below each curve where any layer has one."""
    reached = any(layer.reached is not None for layer in layers)
    grid = make_grid(len(layers), [_CURVE, _STRIP] if reached else [_CURVE])
    for (panel, *strips), layer in zip(grid.panels, layers, strict=True):
        _draw_curve(panel, layer.points, layer.learned, layer.start)
        add_title(panel, layer.name, _describe_values(layer.kind, layer.values))
        for strip in strips:
            _draw_histogram(strip, layer.reached)
        (strips or [panel])[-1].set_xlabel(say("input x"), fontsize=7.5, labelpad=2)
        panel.set_xlim(layer.points[0], layer.points[-1])
    started = any(layer.start is not None for layer in layers)
    _add_legend(grid.figure, [len(layer.learned) for layer in layers], started=started, reached=reached)
    return grid.figure


def _make_plot(layer: Layer) -> CurvePlot:
    seen = layer.reach
    return CurvePlot(
        name=layer.name,
        kind=layer.kind if layer.elementwise else say("{kind} on a constant map", kind=layer.kind),
        values=layer.values,
        points=layer.points,
        learned=layer.learned,
        start=layer.start,
        reached=None if seen is None else InputHistogram(seen.edges, seen.shares, seen.share_below_zero),
    )


def _draw_curve(panel: "Axes", points: Numbers, learned: Numbers, start: Numbers | None) -> None:
    draw_zero_lines(panel)
    draw_channels(panel, points, learned, LEARNED)
    if start is not None:
        middle = start if len(start) <= MOST_LINES else np.median(start, axis=0, keepdims=True)
        panel.plot(points, middle.T, color=START, linewidth=1.4, linestyle="--")
    panel.set_ylabel(say("output f(x)"), fontsize=7.5, labelpad=2)


def _draw_histogram(strip: "Axes", seen: InputHistogram | None) -> None:
    if seen is None:
        mark_unreached(strip)
    else:
        draw_histogram(strip, seen.edges, seen.shares, seen.below_zero)


def _add_legend(figure: "Figure", channels: Sequence[int], *, started: bool, reached: bool) -> None:
    """The legend, naming only what the figure shows."""
    from matplotlib.lines import Line2D  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.patches import Patch  # noqa: PLC0415

    entries: list[Artist] = []
    if any(count == 1 for count in channels):
        entries.append(Line2D([], [], color=LEARNED, linewidth=2, label=say("learned")))
    if any(1 < count <= MOST_LINES for count in channels):
        entries.append(Line2D([], [], color=LEARNED, linewidth=0.7, label=say("learned, one channel")))
    if any(count > MOST_LINES for count in channels):
        entries.append(Line2D([], [], color=LEARNED, linewidth=1.6, label=say("learned, median channel")))
        entries.append(Patch(color=LEARNED, alpha=0.5, linewidth=0, label=say("half of the channels")))
        entries.append(Patch(color=LEARNED, alpha=0.18, linewidth=0, label=say("all channels")))
    if started:
        entries.append(Line2D([], [], color=START, linewidth=1.4, linestyle="--", label=say("start")))
    if reached:
        entries.append(Patch(color=HISTOGRAM, label=say("what reached it")))
    add_legend(figure, entries)


def _describe_values(kind: str, values: Mapping[str, Numbers]) -> str:
    """The activation's name and its values, or their ranges over the channels."""
    ranges = [f"{name} = {format_range(value, '.2g')}" for name, value in values.items()]
    whole = f"{kind}: {', '.join(ranges)}" if ranges else kind
    return (
        whole
        if len(whole) <= LONGEST_SUBTITLE
        else say("{kind}, {count} learned values", kind=kind, count=len(ranges))
    )
