"""A picture of an ONNX graph: one box for each operator, from the inputs at the top to the outputs below."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from adaptact.files import replace_file
from adaptact.text import escape_line
from convert.errors import DestinationError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".svg", ".png", ".pdf")
MOST_NODES = 2000
"""The most operators of one picture: a larger one is unreadable and takes minutes to draw."""
_COLUMN = 40
"""The rows of one column: a deeper graph continues in the next."""
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
    """One operator, input or output: its label, its colour, and the indices of the boxes that it reads."""

    label: str
    colour: str
    reads: tuple[int, ...]


def draw_graph(model: ir.Model) -> "Figure":
    """The graph without its weights, each operator in a row below all that it reads.

    Raises UsageError where it has more than MOST_NODES operators.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # costs 0.5 s to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    if model.graph.num_nodes() > MOST_NODES:
        raise UsageError(
            f"the graph has {model.graph.num_nodes()} operators, and a picture shows at most {MOST_NODES}"
        )
    boxes = list_boxes(model)
    places = place_boxes(boxes)
    across, down = (max(place[axis] for place in places) + 1 for axis in (0, 1))
    figure = Figure(figsize=(_WIDTH * across + 0.2, _HEIGHT * down + 0.2))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.55, across - 0.45)
    axes.set_ylim(down - 0.4, -0.6)
    axes.axis("off")
    _draw_boxes(axes, boxes, places)
    return figure


def write_picture(model: ir.Model, path: Path) -> None:
    """The picture is at `path`, in the format of its suffix, one of PICTURES; equal graphs give equal bytes.

    Raises UsageError for another suffix, and DestinationError where it cannot be written.
    """
    import matplotlib  # noqa: PLC0415  # costs 0.5 s to import

    if path.suffix not in PICTURES:
        raise UsageError(f"`{path}` is no picture that can be written, expected {', '.join(PICTURES)}")
    figure = draw_graph(model)
    no_metadata: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    try:
        with matplotlib.rc_context({"svg.hashsalt": "adaptact"}), replace_file(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=no_metadata[path.suffix])
    except OSError as error:
        raise DestinationError(f"cannot write `{path}`: {error.strerror or error}") from error


def list_boxes(model: ir.Model) -> tuple[Box, ...]:
    """The inputs, the operators in the graph's order, and the outputs."""
    box_of: dict[str, int] = {}
    boxes: list[Box] = []
    for value in model.graph.inputs:
        if value.name not in model.graph.initializers:
            box_of[value.name or ""] = len(boxes)
            boxes.append(Box(_label(value), _COLOURS["end"], ()))
    for node in model.graph:
        reads = dict.fromkeys(
            box_of[value.name or ""] for value in node.inputs if value is not None and value.name in box_of
        )
        box_of |= {value.name or "": len(boxes) for value in node.outputs}
        boxes.append(Box(escape_line(node.op_type), _colour(node.op_type), tuple(reads)))
    for value in model.graph.outputs:
        source = box_of.get(value.name or "")
        sources = () if source is None else (source,)
        boxes.append(Box(_label(value), _COLOURS["end"], sources))
    return tuple(boxes)


def place_boxes(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """The column and row of each box: one row below the last box that it reads, if possible in its column.

    A graph deeper than one column continues at the top of the next.
    """
    rows: list[int] = []
    for box in boxes:
        rows.append(max((rows[read] + 1 for read in box.reads), default=0))
    columns = _place_in_rows(boxes, rows)
    turns = -(-(max(rows) + 1) // _COLUMN)
    widths = [
        max((columns[i] + 1 for i, row in enumerate(rows) if row // _COLUMN == turn), default=1)
        for turn in range(turns)
    ]
    return [(sum(widths[: row // _COLUMN]) + columns[place], row % _COLUMN) for place, row in enumerate(rows)]


def _place_in_rows(boxes: Sequence[Box], rows: Sequence[int]) -> dict[int, int]:
    """The place of each box within its row: below the first box that it reads, if that place is free."""
    taken: dict[int, set[int]] = {}
    places: dict[int, int] = {}
    for place, box in enumerate(boxes):
        row = taken.setdefault(rows[place], set())
        wanted = places[box.reads[0]] if box.reads else 0
        free = next(at for at in range(wanted, wanted + len(boxes)) if at not in row)
        row.add(free)
        places[place] = free
    return places


def _draw_boxes(axes: "Axes", boxes: Sequence[Box], places: Sequence[tuple[int, int]]) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415  # costs 0.5 s to import

    width, height = _BOX / _WIDTH, _TALL
    for box, place in zip(boxes, places, strict=True):
        for read in box.reads:
            _draw_arrow(axes, places[read], place)
        column, row = place
        corner = (column - width / 2, row - height / 2)
        style = "round,pad=0,rounding_size=0.06"
        axes.add_patch(
            FancyBboxPatch(corner, width, height, style, facecolor=box.colour, edgecolor=_EDGE, zorder=2)
        )
        axes.text(column, row, box.label, fontsize=7, ha="center", va="center", zorder=3, parse_math=False)


def _draw_arrow(axes: "Axes", start: tuple[int, int], end: tuple[int, int]) -> None:
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


def _label(value: ir.Value) -> str:
    """The name and the shape, escaped: matplotlib's warnings quote characters that its font lacks."""
    shape = "" if value.shape is None else f"[{', '.join(str(size) for size in value.shape)}]"
    return f"{escape_line(value.name or '')}\n{escape_line(shape)}"
