"""What the figures of a study share: panels, and how each variant is drawn."""

from typing import TYPE_CHECKING

from adaptact.style import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE = "#7F7F7F"
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
"""Each round of the colours has its own dashes."""


def make_figure(
    width: float, height: float, columns: int = 1, rows: int = 1
) -> tuple["Figure", list["Axes"]]:
    """A figure of so many inches, and its panels row by row."""
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


def style_of(place: int) -> tuple[str, str, str]:
    """Colour, mark and dashes of the variant at `place`, the baseline being at 0."""
    if place == 0:
        return BASELINE, "o", "--"
    rounds, within = divmod(place - 1, len(SERIES))
    return SERIES[within], MARKS[(within + rounds) % len(MARKS)], DASHES[rounds % len(DASHES)]
