"""Draws docs/images/activations.png: what one parameter of each activation does to its curve."""

import math
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from adaptive_act import ACTIVATIONS, Activation, Learned

PICTURE = Path(__file__).parent / "images" / "activations.png"

COLUMNS = 6
PANEL = 2.6, 2.5  # inches
SPAN = 4.0
# Viridis without its pale end: in order of lightness, so that it reads in grey and for the colour-blind.
COLOURS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#c8b800")
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
# The parameter that says most about the activation, where that is not its first.
SHOWN = {
    "ACONC": "p2",
    "AHAF": "beta",
    "Affine": "gamma",
    "DPReLU": "n",
    "DynActivation": "beta",
    "HermitePolynomial": "a3",
    "MeLU": "c1",
    "MetaACON": "p2",
    "NEAAF": "beta",
    "PAU": "a1",
    "PELU": "b",
    "PSELU": "alpha",
    "PWLU": "y4",
    "RPReLU": "beta",
    "SLAF": "a2",
    "SReLU": "ar",
}


def draw() -> None:
    """One panel an activation, in alphabetical order: five values of one parameter, the others at start."""
    names = sorted(ACTIVATIONS, key=str.lower)
    rows = math.ceil(len(names) / COLUMNS)
    figure = Figure(figsize=(PANEL[0] * COLUMNS, PANEL[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, COLUMNS, squeeze=False, sharex=True).flat)
    for panel, name in zip(panels, names, strict=False):
        _draw_family(panel, ACTIVATIONS[name])
    for panel in panels[len(names) :]:
        panel.remove()
    figure.supxlabel("input x")
    figure.supylabel("output f(x)")
    figure.savefig(PICTURE, dpi=80, pil_kwargs={"optimize": True})


def _draw_family(panel: Axes, kind: type[Activation]) -> None:
    points = torch.linspace(-SPAN, SPAN, 321, dtype=torch.float64)
    name = SHOWN.get(kind.__name__, next(iter(kind.learned), ""))
    parameter = kind.learned.get(name)
    for value, colour in zip(_choose_values(parameter), COLOURS, strict=False):
        at: dict[str, Any] = {name: value} if name else {}
        curve = kind(None if kind.elementwise else 1, 1, **at).curve(points)[0]
        panel.plot(points, curve, color=colour, linewidth=1.6, label=f"{value:.3g}")
    panel.set_title(f"{kind.__name__}: {name}" if name else kind.__name__, fontsize="medium")
    panel.set_ylim(-SPAN, SPAN)
    panel.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    panel.axvline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    if name:
        panel.legend(fontsize=6, loc="lower right", frameon=False, handlelength=1.2, labelspacing=0.15)


def _choose_values(parameter: Learned | None) -> list[float]:
    if parameter is None:
        return [0.0]
    if parameter.positive:
        return [parameter.init * factor for factor in FACTORS]
    return [parameter.init + shift for shift in SHIFTS]


if __name__ == "__main__":
    draw()
