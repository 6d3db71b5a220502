"""Dynamic int8: whole numbers of 8 bits without calibration data, and what static int8 has in common with it.

The inputs of matrix products are rounded as they come (`DynamicQuantizeLinear`, `MatMulInteger`); of
convolutions only the weights are, since ONNX Runtime's `ConvInteger` takes six times as long as its `Conv`.
The files are written with ONNX Runtime's quantisation, and hold standard operators only.

The weights that are multiplied as whole numbers have 7 bits: with 8, two products can overflow the 16 bits
in which a CPU without VNNI adds them up, and the file would compute something else there than where it was
judged.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode

from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.graph.nodes import get_constant
from convert.precision.sites import RoundingSite

LARGEST_WEIGHT = 127  # of a convolution that is computed in float


class DynamicScheme:
    """Rounds without calibration data."""

    def __init__(self, model: ir.Model, sites: Sequence[RoundingSite]) -> None:
        self.sites = sites
        self.ranges_by = None
        self._graph = infer_shapes(model)

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        """Whether anything is rounded with these sites in float."""
        return bool(self._readers(kept))

    def _readers(self, kept: Collection[RoundingSite]) -> set[str]:
        return {name for site in self.sites if site not in kept for name in site.readers}

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        """The rounded graph; the float graph is left as it is."""
        readers = self._readers(kept)
        with silence():
            quantiser = ONNXQuantizer(
                copy_graph(self._graph),
                per_channel=True,
                reduce_range=True,
                mode=QuantizationMode.IntegerOps,
                static=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=None,
                # The library writes a Gemm as MatMul and Add, and names them so.
                nodes_to_quantize=[*readers, *(f"{name}_MatMul" for name in readers)] or [""],
                nodes_to_exclude=[],
                op_types_to_quantize=["MatMul"],
                extra_options={"MatMulConstBOnly": True},
            )
            quantiser.quantize_model()
        graph = require_standard(quantiser.model.model)
        for node in list(graph.graph):
            if node.op_type == "Conv" and node.name in readers:
                _round_weights(graph, node)
        remove_unread(graph)
        return graph


def infer_shapes(model: ir.Model) -> onnx.ModelProto:
    """The graph with every computed value's shape, which the library needs.

    Weights have their own: before ONNX Runtime 1.32 the library turns them around and leaves other records.
    """
    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(serialise(model)))
    weights = {tensor.name for tensor in proto.graph.initializer}
    computed = [info for info in proto.graph.value_info if info.name not in weights]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(computed)
    return proto


def copy_graph(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the graph: the library rewrites its argument."""
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    return copied


def require_standard(proto: onnx.ModelProto) -> ir.Model:
    """The library's graph. Raises ExportError where it has an operator outside the ONNX standard."""
    graph = ir.from_proto(proto)
    graph.graph.sort()  # the library puts new nodes at the end
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in graph.graph.all_nodes() if node.domain})
    if foreign:
        raise ExportError(f"int8 would need operators outside the ONNX standard: {', '.join(foreign[:5])}")
    for domain in [domain for domain in graph.opset_imports if domain]:
        del graph.opset_imports[domain]
    return graph


def remove_unread(graph: ir.Model) -> None:
    """Constants that nothing reads are gone: of each, ONNX Runtime warns whoever loads the file."""
    constants = graph.graph.initializers
    for name, value in list(constants.items()):
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            del constants[name]


def _round_weights(graph: ir.Model, conv: ir.Node) -> None:
    """The convolution reads its weights as whole numbers times one scale for each output channel.

    As `Cast` and `Mul`, which ONNX Runtime computes once as it loads the file; a `DequantizeLinear` it would
    compute on every run, and lay the convolution out as if its weights could change (1.3 to 2 times as slow).
    """
    value = conv.inputs[1]
    weights = get_constant(value)
    if value is None or weights is None or weights.dtype != np.float32:
        return
    channels = (-1, *[1] * (weights.ndim - 1))
    largest = np.abs(weights.reshape(len(weights), -1)).max(axis=1, initial=0).astype(np.float64)
    scale = np.where(largest > 0, largest / LARGEST_WEIGHT, 1).astype(np.float32).reshape(channels)
    whole = _initializer(graph, f"{conv.name}.weight_quantized", np.rint(weights / scale).astype(np.int8))
    cast = ir.node("Cast", [whole], {"to": int(ir.DataType.FLOAT)}, name=f"{conv.name}.weight_cast")
    factor = _initializer(graph, f"{conv.name}.weight_scale", scale)
    product = ir.node("Mul", [cast.outputs[0], factor], name=f"{conv.name}.weight_mul")
    for node in (cast, product):
        node.outputs[0].name = node.name
        node.outputs[0].shape, node.outputs[0].type = value.shape, ir.TensorType(ir.DataType.FLOAT)
        graph.graph.insert_before(conv, node)
    conv.replace_input_with(1, product.outputs[0])
    if not list(value.uses()):
        graph.graph.initializers.pop(value.name or "")


def _initializer(graph: ir.Model, name: str, numbers: np.ndarray[Any, np.dtype[Any]]) -> ir.Value:
    tensor = ir.tensor(numbers, name=name)
    value = ir.Value(
        name=name, shape=ir.Shape(list(numbers.shape)), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.graph.register_initializer(value)
    return value


@contextmanager
def silence() -> Iterator[None]:
    """Suppresses the library's advice, which it logs to the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
