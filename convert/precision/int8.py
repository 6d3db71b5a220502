"""Whole numbers of 8 bits, written with ONNX Runtime's quantisation; the file holds standard operators only.

Static: the input of a layer is rounded to 256 steps between the least and largest number that it took
on calibration data (`QuantizeLinear`, `DequantizeLinear`), weights one scale a channel. Dynamic: the inputs
of matrix products are rounded as they come (`DynamicQuantizeLinear`, `MatMulInteger`); of convolutions only
the weights are, since ONNX Runtime's `ConvInteger` takes six times as long as its `Conv`.

The weights that are multiplied as whole numbers have 7 bits: with 8, two products can overflow the 16 bits
in which a CPU without VNNI adds them up, and the file would compute something else there than where it was
judged. Activations are computed in float; the results and inputs of the layers around them are rounded.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode

from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.graph.nodes import feeds_only, get_constant
from convert.precision.sites import LINEAR, Ranges, RoundingSite, is_linear

CARRIERS = frozenset({"MaxPool", "AveragePool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"})
"""Operators between an activation and its readers that ONNX Runtime computes on 8 bits too."""
ROOM = 1.2
"""The factor by which ranges exceed the calibration data. Numbers beyond a range are cut off, which costs
more than coarser steps: the largest error on unseen samples falls to a third, the typical one by a tenth."""
LARGEST_WEIGHT = 127  # of a convolution that is computed in float
_ON_EIGHT_BITS = LINEAR | CARRIERS
_CLAMPS = ("Relu", "Clip")
"""Rounding to unsigned numbers clamps too: the library leaves these out where only they read a layer."""


class DynamicScheme:
    """Rounds without calibration data."""

    def __init__(self, model: ir.Model, sites: Sequence[RoundingSite]) -> None:
        self.sites = sites
        self._graph = _infer_shapes(model)

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        """Whether anything is rounded with these sites in float."""
        return bool(self._readers(kept))

    def _readers(self, kept: Collection[RoundingSite]) -> set[str]:
        return {name for site in self.sites if site not in kept for name in site.readers}

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        """The rounded graph; the float graph is left as it is."""
        readers = self._readers(kept)
        with _silence():
            quantiser = ONNXQuantizer(
                _copy(self._graph),
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
        graph = _require_standard(quantiser.model.model)
        for node in list(graph.graph):
            if node.op_type == "Conv" and node.name in readers:
                _round_weights(graph, node)
        return graph


class StaticScheme:
    """Rounds to the ranges of calibration data."""

    def __init__(self, model: ir.Model, sites: Sequence[RoundingSite], ranges: Ranges) -> None:
        self.sites = sites
        self._graph = _infer_shapes(model)
        # Rounding that replaces a Clip must end where the Clip does.
        ends = {node.outputs[0].name for node in model.graph if node.op_type == "Clip"}
        self._ranges = {name: pair if name in ends else _widen(pair) for name, pair in ranges.items()}
        clamps = {
            node.name: node for node in model.graph if node.op_type in _CLAMPS and _is_alone_after_layer(node)
        }
        self._clamped = {node.outputs[0].name or "" for node in clamps.values()}
        self._carriers = {*clamps, *(node.name for node in model.graph if node.op_type in CARRIERS)}

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        """Whether anything is rounded with these sites in float."""
        return bool(self._readers(kept))

    def _readers(self, kept: Collection[RoundingSite]) -> set[str]:
        """The layers on 8 bits; a convolution that gives floats takes longer with rounded weights."""
        floats = {name for site in kept if site.has_activation for name in site.writers}
        return {name for site in self.sites if site not in kept for name in site.readers} - floats

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        """The rounded graph; the float graph is left as it is."""
        left = [site for site in self.sites if site not in kept]
        readers = self._readers(kept)
        carriers = {name for site in left for name in site.between} & self._carriers
        with _silence():
            quantiser = QDQQuantizer(
                _copy(self._graph),
                per_channel=True,
                reduce_range=True,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=_to_tensors_data(self._ranges),
                nodes_to_quantize=[*readers, *carriers] or [""],
                nodes_to_exclude=[],
                op_types_to_quantize=[*LINEAR, *CARRIERS, *_CLAMPS],
                extra_options={},
            )
            quantiser.quantize_model()
        graph = _require_standard(quantiser.model.model)
        _restore_floats(graph, self._clamped)
        return graph


def _infer_shapes(model: ir.Model) -> onnx.ModelProto:
    """The graph with every computed value's shape, which the library needs.

    Weights have their own: before ONNX Runtime 1.32 the library turns them around and leaves other records.
    """
    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(serialise(model)))
    weights = {tensor.name for tensor in proto.graph.initializer}
    computed = [info for info in proto.graph.value_info if info.name not in weights]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(computed)
    return proto


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the graph: the library rewrites its argument."""
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    return copied


def _widen(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    return low * ROOM, high * ROOM


def _to_tensors_data(ranges: Ranges) -> TensorsData:
    limits = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    pairs = {name: tuple(np.array(limit) for limit in pair) for name, pair in limits.items()}
    return TensorsData(CalibrationMethod.MinMax, pairs)


def _require_standard(proto: onnx.ModelProto) -> ir.Model:
    """The library's graph. Raises ExportError where it has an operator outside the ONNX standard."""
    graph = ir.from_proto(proto)
    graph.graph.sort()  # the library puts new nodes at the end
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in graph.graph.all_nodes() if node.domain})
    if foreign:
        raise ExportError(f"int8 would need operators outside the ONNX standard: {', '.join(foreign[:5])}")
    for domain in [domain for domain in graph.opset_imports if domain]:
        del graph.opset_imports[domain]
    return graph


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


def _is_alone_after_layer(node: ir.Node) -> bool:
    value = node.inputs[0]
    producer = None if value is None else value.producer()
    return value is not None and producer is not None and is_linear(producer) and feeds_only(value, node)


def _restore_floats(graph: ir.Model, clamped: Collection[str]) -> None:
    """Layers give floats where that costs nothing: to the outputs, and from matrix products to an activation.

    Values that rounding clamps stay rounded.
    """
    for node in list(graph.graph):
        pair = _find_quantize(node)
        exact = None if pair is None else pair.inputs[0]
        layer = None if exact is None else exact.producer()
        if pair is None or exact is None or layer is None or _is_named(exact, clamped):
            continue
        rounded = node.outputs[0]
        readers = [reader.op_type for reader, _ in rounded.uses()]
        cheap = layer.op_type in ("Gemm", "MatMul") and not _ON_EIGHT_BITS.intersection(readers)
        if not cheap and (readers or layer.op_type != "Conv"):
            continue
        name, was_output = rounded.name, rounded.is_graph_output()
        exact.type, exact.shape = ir.TensorType(ir.DataType.FLOAT), exact.shape or rounded.shape
        ir.convenience.replace_all_uses_with(rounded, exact, replace_graph_outputs=True)
        graph.graph.remove([node, pair], safe=True)
        if was_output:
            exact.name = name


def _is_named(value: ir.Value, names: Collection[str]) -> bool:
    """Whether the value has one of the names, or had it before the library gave that name to an output."""
    name = value.name or ""
    return name in names or name.removesuffix("_QuantizeLinear_Input") in names


def _find_quantize(node: ir.Node) -> ir.Node | None:
    """The `QuantizeLinear` that only this `DequantizeLinear` reads; None for any other node."""
    if node.op_type != "DequantizeLinear" or node.inputs[0] is None:
        return None
    pair = node.inputs[0].producer()
    if pair is None or pair.op_type != "QuantizeLinear" or len(list(pair.outputs[0].uses())) != 1:
        return None
    return pair


@contextmanager
def _silence() -> Iterator[None]:
    """Suppresses the library's advice, which it logs to the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
