"""Whether reading a foreign ONNX model takes memory and time in proportion to its size.

Neither protobuf nor the ONNX checker checks that each tensor holds as much as it declares, that external data
are plain files beside the model, that functions unfold to a bounded graph, and that all operators are
standard. The description suffices to check it; no external data are read.
"""

from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from math import prod
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from convert.errors import SourceError
from convert.sources.foreign import FOREIGN

LARGEST_VALUE = 2**31  # elements of one tensor
MOST_AXES = 64
LARGEST_EXPANSION = 100_000  # nodes, with every function call expanded
STANDARD = ("", "ai.onnx")
EXPORT_AGAIN = "export the model again; a checkpoint converts by: adaptact export model.pt model.onnx"

_BYTES: dict[int, int] = {
    kind: onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
    for kind in (
        *(TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL),
        *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
        *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
    )
}
_HALVES = (TensorProto.INT4, TensorProto.UINT4)
"""Two of these numbers share a byte, and an entry."""
_Key = tuple[str, str]


def require_bounded(model: ModelProto, path: Path) -> tuple[Path, ...]:
    """The files of external data that the model at `path` names, once all checks pass. Raises SourceError."""
    _require_finite(model, path)
    functions = {(function.domain, function.name) for function in model.functions}
    files: dict[Path, None] = {}
    nodes = _list_all_nodes(model)
    for node in nodes:
        known = node.domain in STANDARD or node.domain in FOREIGN
        if not known and (node.domain, node.op_type) not in functions:
            raise build_error(
                path,
                f"needs `{node.domain[:100]}::{node.op_type[:100]}`, an operator outside the ONNX standard "
                "and ONNX Runtime",
                f"export the model again, with operators of {', '.join(('ai.onnx', *FOREIGN))} only",
            )
    for tensor in _walk_tensors(model, nodes):
        file = _require_sound(tensor, path)
        if file is not None:
            files[file] = None
    return tuple(files)


def require_small_values(model: ModelProto, path: Path) -> None:
    """Raises SourceError where the known sizes of a value of the graph make too many elements."""
    graph = model.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes = [size.dim_value for size in value.type.tensor_type.shape.dim if size.HasField("dim_value")]
        if not _is_small([size or 1 for size in sizes]):
            raise build_error(
                path,
                f"has the value `{value.name[:100]}` of sizes {sizes[:8]}, expected at most {LARGEST_VALUE} "
                f"elements along at most {MOST_AXES} axes",
            )


def require_small_tensors(model: ModelProto, path: Path) -> None:
    """Raises SourceError where a tensor declares too many elements, whatever it holds."""
    nodes = _list_all_nodes(model)
    for tensor in _walk_tensors(model, nodes):
        _require_small(tensor, path)


def _require_small(tensor: TensorProto, path: Path) -> None:
    if not _is_small(tensor.dims):
        raise build_error(
            path,
            f"has the tensor `{tensor.name[:100]}` of sizes {list(tensor.dims)[:8]}, expected at most "
            f"{LARGEST_VALUE} elements along at most {MOST_AXES} axes",
        )


def _is_small(sizes: Sequence[int]) -> bool:
    """Whether no size is negative and the elements are within the limit; axes are counted first."""
    return len(sizes) <= MOST_AXES and min(sizes, default=0) >= 0 and prod(sizes) <= LARGEST_VALUE


def build_error(path: Path, reason: str, hint: str = EXPORT_AGAIN) -> SourceError:
    """The error for an ONNX file, where `reason` continues "the file is an ONNX model and"."""
    return SourceError(f"`{path}` is an ONNX model and {reason}", hint)


def _list_all_nodes(model: ModelProto) -> list[NodeProto]:
    """The nodes of the graph and of all functions, and those of all graphs inside them."""
    return list(_walk_nodes((*model.graph.node, *(node for part in model.functions for node in part.node))))


def _walk_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and those of all graphs inside them. Protobuf bounds the depth."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        pending += [inner for graph in _list_inner_graphs(node) for inner in graph.node]


def _list_inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _walk_tensors(model: ModelProto, nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    yield from _list_graph_tensors(model.graph)
    for node in nodes:
        for graph in _list_inner_graphs(node):
            yield from _list_graph_tensors(graph)
        for attribute in node.attribute:
            yield from _list_attribute_tensors(attribute)


def _list_graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _list_attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    yield from attribute.tensors
    if attribute.HasField("t"):
        yield attribute.t
    sparse_tensors = [*attribute.sparse_tensors]
    if attribute.HasField("sparse_tensor"):
        sparse_tensors.append(attribute.sparse_tensor)
    for sparse in sparse_tensors:
        yield from (sparse.values, sparse.indices)


def _require_sound(tensor: TensorProto, path: Path) -> Path | None:
    """The file of external data that holds the tensor, None where the model holds it. Raises SourceError."""
    _require_small(tensor, path)
    count = prod(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        _require_amount(tensor, len(tensor.string_data), count, path)
        return None
    halves = tensor.data_type in _HALVES
    count, item = ((count + 1) // 2, 1) if halves else (count, _BYTES.get(tensor.data_type))
    if item is None:
        raise build_error(
            path, f"has the tensor `{tensor.name[:100]}` of a type ({tensor.data_type}) not read here"
        )
    size = count * item
    if tensor.data_location == TensorProto.EXTERNAL:
        return _require_external_data(tensor, size, path)
    if tensor.HasField("raw_data"):
        _require_amount(tensor, len(tensor.raw_data), size, path)
    else:
        field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
        _require_amount(tensor, len(getattr(tensor, field)), count, path)
    return None


def _require_amount(tensor: TensorProto, actual: int, expected: int, path: Path) -> None:
    if actual != expected:
        raise build_error(
            path,
            f"is damaged: its tensor `{tensor.name[:100]}` of sizes {list(tensor.dims)[:8]} holds {actual} "
            f"numbers or bytes, expected {expected}",
        )


def _require_external_data(tensor: TensorProto, size: int, path: Path) -> Path:
    """The plain file beside the model that holds the tensor's bytes. Raises SourceError."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = Path(location).parts
    if not parts or Path(location).is_absolute() or ".." in parts or "\\" in location or "\0" in location:
        raise build_error(path, f"takes external data from `{location[:200]}`, which is not beside it")
    place = path.parent
    for part in parts:
        place /= part
        if place.is_symlink():
            raise build_error(path, f"takes external data from `{location[:200]}`, which is a link")
    if not place.is_file() or place.stat().st_nlink > 1:
        reason = "is no file" if not place.is_file() else "is a file of several names (hard links)"
        raise build_error(
            path, f"takes external data from `{location[:200]}`, which {reason}", "copy both files"
        )
    offset, length = (
        _parse_number(entries.get("offset", "0")),
        _parse_number(entries.get("length", str(size))),
    )
    if length != size or offset is None or offset + size > place.stat().st_size:
        raise build_error(
            path,
            f"is damaged: its tensor `{tensor.name[:100]}` takes {entries.get('length', size)} bytes from "
            f"{entries.get('offset', 0)} of `{location[:200]}`, expected {size} of {place.stat().st_size}",
        )
    return place


def _parse_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _require_finite(model: ModelProto, path: Path) -> None:
    """Raises SourceError where a function calls itself, or the expanded graph has too many nodes."""
    count = sum(len(part.node) for part in (model.graph, *model.functions))
    if count > LARGEST_EXPANSION:
        raise build_error(path, f"has {count} nodes, expected at most {LARGEST_EXPANSION}")
    functions = {(part.domain, part.name): list(_walk_nodes(part.node)) for part in model.functions}
    calls = {
        key: {(node.domain, node.op_type) for node in nodes} & set(functions)
        for key, nodes in functions.items()
    }
    try:
        order: list[_Key] = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        raise build_error(path, "has a function that calls itself") from error
    sizes: dict[_Key, int] = {}
    for key in order:
        sizes[key] = sum(sizes.get((node.domain, node.op_type), 1) for node in functions[key])
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in _walk_nodes(model.graph.node))
    if total > LARGEST_EXPANSION:
        raise build_error(path, f"unfolds to {total} nodes, expected at most {LARGEST_EXPANSION}")
