"""What a file's inputs, outputs and activations hold on the user's own samples, for the manifest.

Generated samples say nothing of real traffic, so that without the user's own there is no baseline.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from convert.errors import ExportError
from convert.graph.nodes import get_constant, list_layers
from convert.manifest.baseline import LEAST_ROWS, LONGEST_CATEGORY, BaselineRecord, Role, SeriesRecord
from convert.manifest.encoding import encode_outputs
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet

CELLS = 20
MOST_CATEGORIES = 20
MOST_COLUMNS = 64
MOST_ACTIVATIONS = 64
MOST_ROWS = 10_000
MOST_VALUES = 256
"""Of one row of a tensor: at places drawn anew for each set of samples."""
TAIL = 0.0005
"""The share of the values on either side of the range that is recorded."""
_ROW, _IMAGE = 2, 4  # axes


Reaching: TypeAlias = tuple[str, str]
"""An activation's layer, and the tensor that reaches it."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """One tensor's values: of each set of samples [rows, columns, places]."""

    role: Role
    name: str
    layer: str = ""
    pieces: list[Array] = field(default_factory=list)


def record_baseline(
    graph: ir.Graph,
    content: bytes,
    sets: Sequence[SampleSet],
    reaching: Sequence[Reaching],
    provider: str,
    folder: Path | None = None,
) -> BaselineRecord | None:
    """What the file with these bytes holds on the given ones of the sets; None for less than LEAST_ROWS.

    `graph` is that in `content`, whose external data lie in `folder`.
    """
    given = [samples for samples in sets if samples.given]
    if sum(map(_count_rows, given)) < LEAST_ROWS:
        return None
    try:
        return _record(graph, content, given, reaching[:MOST_ACTIVATIONS], provider, folder)
    except ExportError:  # ONNX Runtime does not give out those values
        return _record(graph, content, given, (), provider, folder)


def find_reaching(graph: ir.Graph, layers: Sequence[str]) -> list[Reaching]:
    """Each activation's layer with each value that its nodes take from others and that is no constant.

    A rule may have moved a scale or a shift into the layer before: then it is the value after that.
    """
    own = {layer: [node for node in graph if layer in list_layers(node)] for layer in layers}
    ends = {*graph.inputs, *graph.outputs}
    return [
        (layer, value.name or "")
        for layer, nodes in own.items()
        for value in dict.fromkeys(value for node in nodes for value in node.inputs if value is not None)
        if value.producer() not in nodes and value not in ends and get_constant(value) is None
    ]


def _record(
    graph: ir.Graph,
    content: bytes,
    given: Sequence[SampleSet],
    reaching: Sequence[Reaching],
    provider: str,
    folder: Path | None,
) -> BaselineRecord:
    inputs = [value.name or "" for value in graph.inputs]
    tensors = [_Tensor("input", name) for name in inputs]
    tensors += [_Tensor("output", value.name or "") for value in graph.outputs if _is_tensor(value)]
    tensors += [_Tensor("activation", name, layer) for layer, name in reaching]
    names = list(dict.fromkeys(name for _, name in reaching))
    session = Session(content + encode_outputs(names), inputs, provider, folder=folder)
    random, rows = np.random.default_rng(20261129), 0
    for samples in given:
        if rows < MOST_ROWS:
            values = dict(zip(inputs, samples.arrays, strict=True)) | session.run_as_is(samples.arrays)
            for tensor in tensors:
                tensor.pieces.append(_draw(values[tensor.name], _count_rows(samples), tensor.role, random))
            rows += _count_rows(samples)
    return BaselineRecord(rows, tuple(_list_series(tensors)))


def _is_tensor(value: ir.Value) -> bool:
    """False for what ZipMap makes, a list of dictionaries."""
    return value.type is None or isinstance(value.type, ir.TensorType)


def _count_rows(samples: SampleSet) -> int:
    first = samples.arrays[0]
    return int(first.shape[0]) if first.ndim else 1


def _draw(array: Array, rows: int, role: Role, random: np.random.Generator) -> Array:
    """The values of each row at some places of each column: [rows, columns, places]."""
    if not array.ndim or array.shape[0] != rows:
        array = array.reshape(1, -1)  # of no single row: they count as one
    has_columns = role != "activation" and array.ndim in (_ROW, _IMAGE) and 1 < array.shape[1] <= MOST_COLUMNS
    columns = array.shape[1] if has_columns else 1
    flat = array.reshape(array.shape[0], columns, -1)
    most = max(MOST_VALUES // columns, 1)
    if flat.shape[2] > most:
        flat = flat[:, :, np.sort(random.choice(flat.shape[2], most, replace=False))]
    return flat


def _list_series(tensors: Sequence[_Tensor]) -> Iterator[SeriesRecord]:
    for tensor in tensors:
        columns = {piece.shape[1] for piece in tensor.pieces}
        whole = np.concatenate([piece.reshape(-1) for piece in tensor.pieces])
        rows = sum(len(piece) for piece in tensor.pieces)
        yield from _make_series(tensor, None, rows, whole)
        for column in range(columns.pop()) if len(columns) == 1 and columns != {1} else ():
            values = np.concatenate([piece[:, column].reshape(-1) for piece in tensor.pieces])
            yield from _make_series(tensor, column, rows, values)


def _make_series(tensor: _Tensor, column: int | None, rows: int, values: Array) -> Iterator[SeriesRecord]:
    """The series of the values; none where there is no value.

    A column of nothing but NaN has one too, so that the columns beside it keep their places.
    """
    about = tensor.role, tensor.name, tensor.layer, column, rows
    if _is_naming(values):
        counts = _count_categories(values)
        shown = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CATEGORIES]
        rest = counts.total() - sum(counts[name] for name in shown)
        if shown:
            yield SeriesRecord(
                *about, (), tuple(shown), (*(counts[name] for name in shown), rest), None, None, 0
            )
        return
    numbers = values.astype(np.float64)
    finite = np.sort(numbers[np.isfinite(numbers)])
    if not finite.size and numbers.size:
        infinite = int(np.isinf(numbers).sum())
        yield SeriesRecord(*about, (), (), (infinite,), None, None, 0.0)
    elif finite.size:
        low, high = np.quantile(finite, (TAIL, 1 - TAIL), method="nearest")
        places = finite.size * np.arange(1, CELLS) // CELLS
        edges = np.unique(finite[places])
        edges = edges[edges > finite[0]]
        known = numbers[~np.isnan(numbers)]
        cells = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
        outside = 1 - float(((numbers >= low) & (numbers <= high)).mean())
        bounds = float(low), float(high), float(f"{outside:.6g}")
        yield SeriesRecord(*about, tuple(edges.tolist()), (), tuple(cells.tolist()), *bounds)


def _is_naming(values: Array) -> bool:
    """Whether the values name something: texts, truth values, and numbers that may be of a dictionary."""
    return values.dtype.kind in "OUSb" or (values.dtype.kind in "iu" and values.dtype.itemsize > 1)


def _count_categories(values: Array) -> Counter[str]:
    """How often each text, or each whole number written as one, is there."""
    if values.dtype.kind in "biu":
        numbers, counts = np.unique(values, return_counts=True)
        return Counter({str(int(number)): int(count) for number, count in zip(numbers, counts, strict=True)})
    return Counter(str(text)[:LONGEST_CATEGORY] for text in values.tolist())
