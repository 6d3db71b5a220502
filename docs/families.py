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

COLUMNS = 4
PANEL = 2.7, 2.75  # inches: a page of documentation shows the picture in its own size
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
    "SReLU": "al",
}
# Where factors or shifts of the start would leave the picture, or give equal curves.
VALUES = {"AReLU": (0.05, 0.25, 0.5, 0.75, 0.95), "PACT": (0.5, 1.0, 2.0, 3.0, 6.0)}


def draw() -> None:
    """One panel an activation, in alphabetical order: five values of one parameter, the others at start."""
    names = sorted(ACTIVATIONS, key=str.lower)
    rows = math.ceil(len(names) / COLUMNS)
    figure = Figure(figsize=(PANEL[0] * COLUMNS, PANEL[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for panel, name in zip(panels, names, strict=False):
        _draw_family(panel, ACTIVATIONS[name])
    for panel in panels[len(names) :]:
        panel.remove()
    figure.savefig(PICTURE, dpi=80, pil_kwargs={"optimize": True})


def _draw_family(panel: Axes, kind: type[Activation]) -> None:
    points = torch.linspace(-SPAN, SPAN, 321, dtype=torch.float64)
    name = name_parameter(kind)
    for (value, curve), colour in zip(list_curves(kind, points).items(), COLOURS, strict=False):
        panel.plot(points, curve, color=colour, linewidth=1.6, label=f"{value:.3g}")
    panel.set_title(f"{kind.__name__}: {name}" if name else kind.__name__, fontsize="medium", pad=18)
    panel.set_ylim(-SPAN, SPAN)
    panel.set_xlim(-SPAN, SPAN)
    panel.set_xlabel("input x", fontsize=8, labelpad=1)
    panel.set_ylabel("output f(x)", fontsize=8, labelpad=0)
    panel.tick_params(labelsize=8)
    panel.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    panel.axvline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    if name:
        panel.legend(  # above the curves, which it would cover anywhere within the panel
            fontsize=7.5,
            loc="lower center",
            bbox_to_anchor=(0.5, 0.99),
            ncols=len(COLOURS),
            frameon=False,
            handlelength=0.9,
            handletextpad=0.3,
            columnspacing=0.7,
        )


def name_parameter(kind: type[Activation]) -> str:
    """The parameter that is shown; empty for an activation without one."""
    return SHOWN.get(kind.__name__, next(iter(kind.learned), ""))


def list_curves(kind: type[Activation], points: torch.Tensor) -> dict[float, torch.Tensor]:
    """The curve at each value of the parameter that is shown."""
    name = name_parameter(kind)
    values = VALUES.get(kind.__name__) or _choose_values(kind.learned.get(name))
    made: list[dict[str, Any]] = [{name: value} if name else {} for value in values]
    channels = None if kind.elementwise else 1
    return {value: kind(channels, 1, **at).curve(points)[0] for value, at in zip(values, made, strict=True)}


def _choose_values(parameter: Learned | None) -> list[float]:
    if parameter is None:
        return [0.0]
    if parameter.positive:
        return [parameter.init * factor for factor in FACTORS]
    return [parameter.init + shift for shift in SHIFTS]


if __name__ == "__main__":
    draw()
