"""Max pools on 8 bits: rounding before a pool gives the same, and the pool reads a quarter of the bytes."""

from collections.abc import Collection

import onnx_ir as ir

from convert.graph.nodes import get_only_consumer


def round_before_pools(graph: ir.Model, names: Collection[str]) -> None:
    """The pools of these names whose result alone is rounded read 8 bits too; no result changes.

    ONNX Runtime's quantisation rounds before a pool only where it rounds the result of what the pool reads.
    """
    for node in list(graph.graph):
        source = node.inputs[0] if node.inputs else None
        if node.op_type != "MaxPool" or node.name not in names or source is None or len(node.outputs) != 1:
            continue
        quantize = get_only_consumer(node.outputs[0])
        if quantize is None or quantize.op_type != "QuantizeLinear" or _is_rounded(source):
            continue
        _round(graph, source, node, quantize)


def _is_rounded(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear"


def _round(graph: ir.Model, source: ir.Value, pool: ir.Node, quantize: ir.Node) -> None:
    """Have the pool read the source rounded as `quantize` rounds."""
    steps = quantize.inputs[1:]
    before = ir.node("QuantizeLinear", [source, *steps], name=f"{pool.name}.rounded")
    whole = before.outputs[0]
    whole.type, whole.shape = ir.TensorType(_get_dtype(quantize)), source.shape
    after = ir.node("DequantizeLinear", [whole, *steps], name=f"{pool.name}.read")
    read = after.outputs[0]
    read.type, read.shape = ir.TensorType(ir.DataType.FLOAT), source.shape
    graph.graph.insert_before(pool, [before, after])
    pool.replace_input_with(0, read)


def _get_dtype(quantize: ir.Node) -> ir.DataType:
    """The type of the whole numbers, which is that of the one that stands for 0."""
    zero = quantize.inputs[2] if len(quantize.inputs) > 2 else None
    return ir.DataType.UINT8 if zero is None or zero.dtype is None else zero.dtype
