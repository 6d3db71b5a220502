"""The texts that a graph compares its inputs with: categories, words and labels."""

from collections.abc import Iterator

import onnx_ir as ir

MOST_TEXTS = 256
LONGEST_TEXT = 1000  # characters
UNKNOWN = ("", "unknown", "Ünbekannt 7")
"""Texts that stand in no table: a model is asked for these too."""


def list_texts(graph: ir.Model) -> tuple[str, ...]:
    """Up to MOST_TEXTS of the texts in the graph's constants and attributes, each once, then UNKNOWN."""
    texts = dict.fromkeys(text for text in _walk_texts(graph) if len(text) <= LONGEST_TEXT)
    return tuple(dict.fromkeys((*list(texts)[:MOST_TEXTS], *UNKNOWN)))


def _walk_texts(graph: ir.Model) -> Iterator[str]:
    for value in graph.graph.initializers.values():
        yield from _list_tensor_texts(value.const_value)
    for node in graph.graph.all_nodes():
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.STRINGS:
                yield from attribute.as_strings()
            elif attribute.type == ir.AttributeType.TENSOR:
                yield from _list_tensor_texts(attribute.as_tensor())


def _list_tensor_texts(tensor: ir.TensorProtocol | None) -> Iterator[str]:
    if tensor is not None and tensor.dtype == ir.DataType.STRING:
        for text in tensor.numpy().reshape(-1)[:MOST_TEXTS]:
            yield text.decode(errors="replace") if isinstance(text, bytes) else str(text)
