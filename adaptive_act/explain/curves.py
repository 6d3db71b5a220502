"""The learned curves, drawn against where they started."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from adaptive_act.activation import Activation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_LEARNED, _START = "#0072B2", "#7F7F7F"  # told apart by the colour-blind, and in grey print by the dashes
_PANEL = 3.3, 3.0  # inches


def draw_curves(
    activations: Mapping[str, Activation],
    starts: Mapping[str, Activation],
    path: str | Path,
    span: float = 4.0,
) -> None:
    """Writes a picture to `path` with one panel a layer: its learned curve over its start, on common axes.

    Both mappings are by layer name. x runs from -span to span; a layer that learned per channel shows a thin
    line for each channel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    columns = min(_COLUMNS, len(activations))
    rows = math.ceil(len(activations) / columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for panel, (layer, activation) in zip(panels, activations.items(), strict=False):
        _draw(panel, activation, starts[layer], span)
        panel.set_title(f"{layer}\n{_named(activation)}", fontsize="medium")
    for panel in panels[len(activations) :]:
        panel.remove()
    panels[0].legend(loc="upper left", frameon=False)
    figure.supxlabel("input x")
    figure.supylabel("output f(x)")
    figure.savefig(path, dpi=120)


def _draw(panel: "Axes", activation: Activation, start: Activation, span: float) -> None:
    points = torch.linspace(-span, span, 401, dtype=torch.float64)
    learned, started = activation.curve(points), start.curve(points)
    width = 1.0 if len(learned) > 1 else 2.2
    for index, values in enumerate(learned):
        panel.plot(points, values, color=_LEARNED, linewidth=width, label=None if index else "learned")
    panel.plot(points, started.mean(0), color=_START, linewidth=1.4, linestyle="--", label="start")
    panel.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    panel.axvline(0, color="#CCCCCC", linewidth=0.8, zorder=0)


def _named(activation: Activation) -> str:
    """The activation with its values, or their range over the channels."""
    values = [
        f"{name} = {value.min():.2g}" + (f" to {value.max():.2g}" if len(value) > 1 else "")
        for name, value in activation.values().items()
    ]
    return (
        f"{type(activation).__name__}, {', '.join(values)}" if len(values) <= 3 else type(activation).__name__
    )
