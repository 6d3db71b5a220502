"""What a manifest holds of curves, drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adaptive_act.explain.panels import (
    HISTOGRAM,
    LEARNED,
    MOST_LINES,
    START,
    family,
    grid,
    histogram,
    legend,
    nothing_reached,
    titled,
    zero_lines,
)
from adaptive_act.explain.words import span
from convert.manifest import ActivationRecord, ReachRecord

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVE, _STRIP = 2.0, 0.55  # inches


def curves_picture(activations: Sequence[ActivationRecord]) -> "Figure":
    """One panel a layer: its learned curve over its start, and below it the histogram of what reached it."""
    reached = any(one.reach is not None for one in activations)
    made = grid(len(activations), [_CURVE, _STRIP] if reached else [_CURVE])
    for (panel, *strips), one in zip(made.panels, activations, strict=True):
        _curves(panel, one)
        for strip in strips:
            _histogram(strip, one.reach)
        panel.set_xlim(one.curve.points[0], one.curve.points[-1])
        (strips or [panel])[-1].set_xlabel("input x", fontsize=7.5, labelpad=2)
    legend(made.figure, _entries(activations, reached))
    return made.figure


def _curves(panel: "Axes", one: ActivationRecord) -> None:
    points = np.array(one.curve.points)
    zero_lines(panel)
    family(panel, points, np.array(one.curve.values), LEARNED)
    if one.start is not None:
        start = np.array(one.start.curve)
        middle = start if len(start) <= MOST_LINES else np.median(start, axis=0, keepdims=True)
        panel.plot(points, middle.T, color=START, linewidth=1.4, linestyle="--")
    said = [f"{name} = {span(np.array(numbers), '.2g')}" for name, numbers in one.values.items()]
    titled(panel, one.layer, f"{one.kind}: {', '.join(said)}" if said else one.kind)
    panel.set_ylabel("output f(x)", fontsize=7.5, labelpad=2)


def _histogram(strip: "Axes", reach: ReachRecord | None) -> None:
    if reach is None:
        nothing_reached(strip)
    else:
        edges = np.linspace(reach.low, reach.high, len(reach.shares) + 1)
        histogram(strip, edges, np.array(reach.shares), reach.below_zero)


def _entries(activations: Sequence[ActivationRecord], reached: bool) -> "list[Artist]":
    from matplotlib.lines import Line2D  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.patches import Patch  # noqa: PLC0415

    entries: list[Artist] = [Line2D([], [], color=LEARNED, linewidth=2, label="learned")]
    if any(one.start is not None for one in activations):
        entries.append(Line2D([], [], color=START, linewidth=1.4, linestyle="--", label="start"))
    if reached:
        entries.append(Patch(color=HISTOGRAM, label="what reached it"))
    return entries
