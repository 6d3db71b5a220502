"""Whether an ONNX model from a stranger can be read in memory and time that its size explains.

What neither protobuf nor the ONNX checker looks at: that each tensor holds as much as it says, that external
data are plain files beside the model, that functions do not unfold without end, and that nobody else's
operators are needed. It is told from the description; no external data are read.
"""

from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from math import prod
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from convert.errors import SourceError

LARGEST_VALUE = 2**31  # elements of one tensor
MOST_AXES = 64
LARGEST_EXPANSION = 100_000  # nodes, once every function stands where it is called
STANDARD = ("", "ai.onnx")
_AGAIN = "export the model again; a checkpoint converts by: adaptact-export model.pt model.onnx"

_BYTES: dict[int, int] = {
    kind: onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
    for kind in (
        *(TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL),
        *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
        *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
    )
}
_Key = tuple[str, str]


def require_bounded(model: ModelProto, path: Path) -> tuple[Path, ...]:
    """The files of external data that the model at `path` names, all of them sound. Raises SourceError."""
    _require_finite(model, path)
    functions = {(one.domain, one.name): one for one in model.functions}
    files: dict[Path, None] = {}
    nodes = list(_nodes((*model.graph.node, *(node for one in model.functions for node in one.node))))
    for node in nodes:
        if node.domain not in STANDARD and (node.domain, node.op_type) not in functions:
            raise refused(
                path,
                f"needs `{node.domain[:100]}::{node.op_type[:100]}`, an operator outside the ONNX standard",
                "export the model again, with operators of the domain `ai.onnx` only",
            )
    for tensor in _tensors(model, nodes):
        file = _require_sound(tensor, path)
        if file is not None:
            files[file] = None
    return tuple(files)


def require_small_values(model: ModelProto, path: Path) -> None:
    """Raises SourceError where a value of the graph, as far as its sizes are known, has too many elements."""
    graph = model.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes = [one.dim_value for one in value.type.tensor_type.shape.dim if one.HasField("dim_value")]
        if not _is_small([size or 1 for size in sizes]):
            raise refused(
                path,
                f"has the value `{value.name[:100]}` of sizes {sizes[:8]}, expected at most {LARGEST_VALUE} "
                f"elements along at most {MOST_AXES} axes",
            )


def require_small_tensors(model: ModelProto, path: Path) -> None:
    """Raises SourceError where a tensor says that it has too many elements, whatever it holds."""
    nodes = list(_nodes((*model.graph.node, *(node for one in model.functions for node in one.node))))
    for tensor in _tensors(model, nodes):
        _require_small(tensor, path)


def _require_small(tensor: TensorProto, path: Path) -> None:
    if not _is_small(tensor.dims):
        raise refused(
            path,
            f"has the tensor `{tensor.name[:100]}` of sizes {list(tensor.dims)[:8]}, expected at most "
            f"{LARGEST_VALUE} elements along at most {MOST_AXES} axes",
        )


def _is_small(sizes: Sequence[int]) -> bool:
    """Whether no size is negative, and the elements are not too many; their axes are counted first."""
    return len(sizes) <= MOST_AXES and min(sizes, default=0) >= 0 and prod(sizes) <= LARGEST_VALUE


def refused(path: Path, what: str, hint: str = _AGAIN) -> SourceError:
    """The error that says what the ONNX file is or does."""
    return SourceError(f"`{path}` is an ONNX model and {what}", hint)


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and all those in graphs inside them. Protobuf bounds how deep these lie."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        pending += [inner for graph in _inner_graphs(node) for inner in graph.node]


def _inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: ModelProto, nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    yield from _of_graph(model.graph)
    for node in nodes:
        for graph in _inner_graphs(node):
            yield from _of_graph(graph)
        for attribute in node.attribute:
            yield from _of_attribute(attribute)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _of_attribute(attribute: AttributeProto) -> Iterator[TensorProto]:
    yield from attribute.tensors
    if attribute.HasField("t"):
        yield attribute.t
    sparse = [*attribute.sparse_tensors]
    if attribute.HasField("sparse_tensor"):
        sparse.append(attribute.sparse_tensor)
    for one in sparse:
        yield from (one.values, one.indices)


def _require_sound(tensor: TensorProto, path: Path) -> Path | None:
    """The file of external data that holds the tensor, None where the model does. Raises SourceError."""
    _require_small(tensor, path)
    count = prod(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        _require_amount(tensor, len(tensor.string_data), count, path)
        return None
    item = _BYTES.get(tensor.data_type)
    if item is None:
        raise refused(
            path, f"has the tensor `{tensor.name[:100]}` of a type ({tensor.data_type}) not read here"
        )
    size = count * item
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, size, path)
    if tensor.HasField("raw_data"):
        _require_amount(tensor, len(tensor.raw_data), size, path)
    else:
        field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
        _require_amount(tensor, len(getattr(tensor, field)), count, path)
    return None


def _require_amount(tensor: TensorProto, found: int, expected: int, path: Path) -> None:
    if found != expected:
        raise refused(
            path,
            f"is damaged: its tensor `{tensor.name[:100]}` of sizes {list(tensor.dims)[:8]} holds {found} "
            f"numbers or bytes, expected {expected}",
        )


def _external(tensor: TensorProto, size: int, path: Path) -> Path:
    """The plain file beside the model that holds the tensor's bytes. Raises SourceError."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = Path(location).parts
    if not parts or Path(location).is_absolute() or ".." in parts or "\\" in location or "\0" in location:
        raise refused(path, f"takes external data from `{location[:200]}`, which is not beside it")
    place = path.parent
    for part in parts:
        place /= part
        if place.is_symlink():
            raise refused(path, f"takes external data from `{location[:200]}`, which is a link")
    if not place.is_file() or place.stat().st_nlink > 1:
        what = "is no file" if not place.is_file() else "is a file of several names (hard links)"
        raise refused(path, f"takes external data from `{location[:200]}`, which {what}", "copy both files")
    offset, length = _number(entries.get("offset", "0")), _number(entries.get("length", str(size)))
    if length != size or offset is None or offset + size > place.stat().st_size:
        raise refused(
            path,
            f"is damaged: its tensor `{tensor.name[:100]}` takes {entries.get('length', size)} bytes from "
            f"{entries.get('offset', 0)} of `{location[:200]}`, expected {size} of {place.stat().st_size}",
        )
    return place


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _require_finite(model: ModelProto, path: Path) -> None:
    """Raises SourceError where a function calls itself, or all of them written out are too many nodes."""
    written = sum(len(one.node) for one in (model.graph, *model.functions))
    if written > LARGEST_EXPANSION:
        raise refused(path, f"has {written} nodes, expected at most {LARGEST_EXPANSION}")
    functions = {(one.domain, one.name): list(_nodes(one.node)) for one in model.functions}
    calls = {
        key: {(node.domain, node.op_type) for node in nodes} & set(functions)
        for key, nodes in functions.items()
    }
    try:
        order: list[_Key] = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        raise refused(path, "has a function that calls itself") from error
    sizes: dict[_Key, int] = {}
    for key in order:
        sizes[key] = sum(sizes.get((node.domain, node.op_type), 1) for node in functions[key])
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in _nodes(model.graph.node))
    if total > LARGEST_EXPANSION:
        raise refused(path, f"unfolds to {total} nodes, expected at most {LARGEST_EXPANSION}")
