"""The values of a graph that depend on the numbers of another, not only on its sizes."""

from collections.abc import Iterator, Mapping

import onnx_ir as ir

_SIZES_ONLY = ("Shape", "Size")
# The inputs that say how large a result is, or how often a body runs.
_SIZE_INPUTS: Mapping[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Loop": (0, 1),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Tile": (1,),
}


def find_dependents(graph: ir.Graph, value: ir.Value) -> set[ir.Value]:
    """The values that are computed from the numbers of `value`, itself included."""
    dependents = {value}
    for node in graph:
        if node.op_type not in _SIZES_ONLY and not dependents.isdisjoint(_list_read(node)):
            dependents.update(node.outputs)
    return dependents


def sets_sizes(graph: ir.Graph, value: ir.Value) -> bool:
    """Whether the numbers of `value` may decide how large another value is, or how often a loop runs."""
    dependents = find_dependents(graph, value)
    return any(
        place < len(node.inputs) and node.inputs[place] in dependents
        for node in graph.all_nodes()
        for place in _SIZE_INPUTS.get(node.op_type, ())
    )


def _list_read(node: ir.Node) -> Iterator[ir.Value]:
    """The values that the node reads, in its inner graphs too."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from (value for inner in attribute.as_graph() for value in _list_read(inner))
        elif attribute.type == ir.AttributeType.GRAPHS:
            for graph in attribute.as_graphs():
                yield from (value for inner in graph for value in _list_read(inner))
