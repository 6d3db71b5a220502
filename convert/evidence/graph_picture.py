"""A picture of an ONNX graph: a box an operator, from the inputs at the top to the outputs at the bottom."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from adaptact.files import replace_file
from convert.errors import DestinationError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".svg", ".png", ".pdf")
MOST_NODES = 2000
"""Operators of one picture: beyond, nobody reads it and drawing takes minutes."""
_COLUMN = 40
"""Rows of one column: a deep graph goes on in the next."""
_WIDTH, _HEIGHT, _BOX, _BULGE = 1.8, 0.42, 1.3, 0.2  # inches
_TALL = 0.7  # of a row
_COLOURS = {"weights": "#CFE2F3", "elementwise": "#E8F1DE", "end": "#F4E3C3", "other": "#EEEEEE"}
_EDGE, _BEHIND = "#555555", "#AAAAAA"
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "LSTM", "GRU", "RNN"}
_ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Neg", "Abs", "Exp", "Log", "Sqrt", "Erf", "Min", "Max", "Where"),
    *("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
    *("Softplus", "Softsign", "Mish", "Gelu", "Sin", "Cos", "Atan", "Clip", "Greater", "Less", "Sign"),
}


@dataclass(frozen=True, slots=True)
class Box:
    """One operator, input or output: what it is called, its colour, and the boxes that it reads."""

    label: str
    colour: str
    reads: tuple[int, ...]


def graph_picture(model: ir.Model) -> "Figure":
    """The graph, operators in rows below all that they read, weights left out.

    Raises UsageError where it has more than MOST_NODES operators.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    if model.graph.num_nodes() > MOST_NODES:
        raise UsageError(
            f"the graph has {model.graph.num_nodes()} operators, and a picture shows at most {MOST_NODES}"
        )
    boxes = boxes_of(model)
    places = layout(boxes)
    across, down = (max(place[axis] for place in places) + 1 for axis in (0, 1))
    figure = Figure(figsize=(_WIDTH * across + 0.2, _HEIGHT * down + 0.2))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.55, across - 0.45)
    axes.set_ylim(down - 0.4, -0.6)
    axes.axis("off")
    _draw(axes, boxes, places)
    return figure


def write_graph(model: ir.Model, path: Path) -> None:
    """Writes the picture to `path`, as the suffix says, one of PICTURES; equal graphs give equal bytes.

    Raises UsageError for another suffix, and DestinationError where it cannot be written.
    """
    import matplotlib  # noqa: PLC0415  # costs 0.5 s to import

    if path.suffix not in PICTURES:
        raise UsageError(f"`{path}` is no picture that can be written, expected {', '.join(PICTURES)}")
    figure = graph_picture(model)
    nothing: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    try:
        with matplotlib.rc_context({"svg.hashsalt": "adaptact"}), replace_file(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=nothing[path.suffix])
    except OSError as error:
        raise DestinationError(f"cannot write `{path}`: {error.strerror or error}") from error


def boxes_of(model: ir.Model) -> tuple[Box, ...]:
    """The inputs, the operators in the graph's order, and the outputs."""
    made: dict[str, int] = {}
    boxes: list[Box] = []
    for value in model.graph.inputs:
        if value.name not in model.graph.initializers:
            made[value.name or ""] = len(boxes)
            boxes.append(Box(f"{value.name}\n{_shape(value)}", _COLOURS["end"], ()))
    for node in model.graph:
        reads = dict.fromkeys(made[v.name or ""] for v in node.inputs if v is not None and v.name in made)
        made |= {value.name or "": len(boxes) for value in node.outputs}
        boxes.append(Box(node.op_type, _colour(node.op_type), tuple(reads)))
    for value in model.graph.outputs:
        source = made.get(value.name or "")
        reads_of = () if source is None else (source,)
        boxes.append(Box(f"{value.name}\n{_shape(value)}", _COLOURS["end"], reads_of))
    return tuple(boxes)


def layout(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Column and row of each box: a row below the last that it reads, in line with what it reads.

    A graph deeper than one column goes on at the top of the next.
    """
    rows: list[int] = []
    for box in boxes:
        rows.append(max((rows[read] + 1 for read in box.reads), default=0))
    beside = _beside(boxes, rows)
    turns = -(-(max(rows) + 1) // _COLUMN)
    widths = [
        max((beside[i] + 1 for i, row in enumerate(rows) if row // _COLUMN == turn), default=1)
        for turn in range(turns)
    ]
    return [(sum(widths[: row // _COLUMN]) + beside[place], row % _COLUMN) for place, row in enumerate(rows)]


def _beside(boxes: Sequence[Box], rows: Sequence[int]) -> dict[int, int]:
    """The place of each box within its row: below the first that it reads, where that is free."""
    taken: dict[int, set[int]] = {}
    places: dict[int, int] = {}
    for place, box in enumerate(boxes):
        row = taken.setdefault(rows[place], set())
        wished = places[box.reads[0]] if box.reads else 0
        free = next(at for at in range(wished, wished + len(boxes)) if at not in row)
        row.add(free)
        places[place] = free
    return places


def _draw(axes: "Axes", boxes: Sequence[Box], places: Sequence[tuple[int, int]]) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415  # costs 0.5 s to import

    width, height = _BOX / _WIDTH, _TALL
    for box, place in zip(boxes, places, strict=True):
        for read in box.reads:
            _arrow(axes, places[read], place)
        column, row = place
        corner = (column - width / 2, row - height / 2)
        style = "round,pad=0,rounding_size=0.06"
        axes.add_patch(
            FancyBboxPatch(corner, width, height, style, facecolor=box.colour, edgecolor=_EDGE, zorder=2)
        )
        axes.text(column, row, box.label, fontsize=7, ha="center", va="center", zorder=3, parse_math=False)


def _arrow(axes: "Axes", start: tuple[int, int], end: tuple[int, int]) -> None:
    """Straight to the row below; around the boxes between in one column; behind the boxes elsewhere."""
    (from_column, from_row), (column, row) = start, end
    colour, bend = _EDGE, 0.0
    tail: tuple[float, float] = (from_column, from_row + _TALL / 2)
    head: tuple[float, float] = (column, row - _TALL / 2)
    if from_column == column and row > from_row + 1:
        side = _BOX / _WIDTH / 2
        tail, head = (column - side, from_row), (column - side, row)
        bend = 2 * _BULGE / (_HEIGHT * (row - from_row))
    elif row != from_row + 1:
        colour = _BEHIND
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 0.7, "mutation_scale": 6}
    around = {"connectionstyle": f"arc3,rad={bend:.4f}", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", head, tail, arrowprops=style | around, zorder=1)


def _colour(operator: str) -> str:
    kind = "weights" if operator in _WEIGHTED else "elementwise" if operator in _ELEMENTWISE else "other"
    return _COLOURS[kind]


def _shape(value: ir.Value) -> str:
    return f"[{', '.join(str(size) for size in value.shape)}]" if value.shape is not None else ""
