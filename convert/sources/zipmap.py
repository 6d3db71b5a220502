"""Probabilities as a plain tensor: ZipMap, with which converters of scikit-learn end, makes dictionaries.

ONNX Runtime gives such an output as a list of dictionaries, for which no inference protocol has a type.
"""

from collections.abc import Sequence

from onnx import ModelProto, NodeProto, TensorProto, helper

from convert.sources.foreign import LEARNING

_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
"""The attributes of ZipMap and of classifiers that hold the classes."""


def remove_zipmaps(model: ModelProto) -> tuple[str, ...]:
    """What was done to the model itself, in words: each ZipMap gives the tensor that it reads."""
    graph, notes = model.graph, []
    for node in graph.node:
        if node.domain != LEARNING or node.op_type != "ZipMap":
            continue
        labels = _read_labels(node)
        for output in graph.output:
            if output.name == node.output[0]:
                shape = [None, len(labels) or None]
                output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, shape))
        notes.append(f"`{node.output[0]}` is a tensor: its ZipMap was removed, its columns are the classes")
        node.CopyFrom(helper.make_node("Identity", node.input, node.output, node.name))
    return tuple(notes)


def read_classes(model: ModelProto) -> tuple[str, ...] | None:
    """The classes of the model's ZipMap, else of its classifier; None without one, or with different ones."""
    nodes = [node for node in model.graph.node if node.domain == LEARNING]
    for kind in ("ZipMap", "Classifier"):
        found = {tuple(_read_labels(node)) for node in nodes if node.op_type.endswith(kind)} - {()}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _read_labels(node: NodeProto) -> Sequence[str]:
    for attribute in node.attribute:
        if attribute.name in _LABELS and (attribute.strings or attribute.ints):
            texts = [text.decode(errors="replace") for text in attribute.strings]
            return texts or [str(number) for number in attribute.ints]
    return ()
