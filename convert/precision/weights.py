"""Weights alone in 8 or 4 bits, in blocks with a scale each: for large linear layers, and for memory.

The file holds standard operators: a `DequantizeLinear` before each layer, as opset 21 has it. ONNX Runtime
from 1.31 on makes one `MatMulNBits` of the two as it loads the file, which keeps the weights small in memory
too. On the CPU that rounds each row of the layer's input to 8 bits too, by blocks: the gate measures it.

It does so for a `MatMul`, or a `Gemm` with one bias for each output, whose weights no other layer reads; else
it makes floats of all weights in every run. So weights that layers share are written for each of them. A
`MatMul` of matrices that a sum follows it would first join with that: it is written as a `Gemm` with a bias
of zeros. And it takes a `Relu` or `Clip` after the layer for a part of rounding, and leaves both alone: those
are written as `Max` and `Min`. What it leaves alone for another reason stays in float32.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from adaptact.languages.catalogue import mark
from convert.errors import ExportError
from convert.graph.nodes import get_constant, get_layer_name, get_rank, match_operator
from convert.model_io.array import Array
from convert.precision.fusion import find_expanded
from convert.precision.half import UnfitLayer
from convert.precision.sites import RoundingSite, read_bias
from convert.precision.weight_blocks import WeightBlocks, round_blocks

OPSET = 21
"""The first whose `DequantizeLinear` has blocks, and 4 bits."""
BITS: Mapping[str, int] = {"weights-int8": 8, "weights-int4": 4}
SMALLEST = 2**16
"""The fewest weights of a layer: ONNX Runtime multiplies smaller matrices faster in float32."""

SLOW = mark("in float32: ONNX Runtime would make floats of its weights in every run")
_FLOAT_BITS = 32
_Key = tuple[str, bool, float, int]


class WeightsScheme:
    """Rounds the weights of large linear layers. Of 4 bits, those that are kept have 8, of 8 they stay float.

    `unfit` are the layers whose weights ONNX Runtime would make floats of in every run. Raises ExportError
    for a graph of an older opset than OPSET.
    """

    def __init__(self, model: ir.Model, kinds: Mapping[str, str], bits: int) -> None:
        own = model.opset_imports[""]
        if own < OPSET:
            raise ExportError(
                f"weights in {bits} bits need opset {OPSET}, and the graph has opset {own}",
                hint=f"--opset {OPSET}",
            )
        self.ranges_by = None
        self._model = model
        self._bits = bits
        self._blocks: dict[_Key, WeightBlocks] = {}
        self.sites = tuple(_list_sites(model, kinds, bits))
        expanded = find_expanded(self.round(()))
        slow = [site for site in self.sites if not expanded.isdisjoint(map(_name_weights, site.readers))]
        self.sites = tuple(site for site in self.sites if site not in slow)
        self.unfit = tuple(UnfitLayer(site.layer, site.kind, SLOW) for site in slow)

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        """Whether a layer has as few bits as were asked for."""
        return any(site not in kept for site in self.sites)

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        """The graph with small weights; the float graph is left as it is."""
        graph = self._model.clone()
        kept_bits = 8 if self._bits == 4 else _FLOAT_BITS
        bits = {
            name: kept_bits if site in kept else self._bits for site in self.sites for name in site.readers
        }
        shrinking = _Shrinking(graph, self._blocks)
        for node in list(graph.graph):
            layer_bits = bits.get(node.name or "", _FLOAT_BITS)
            layer = _find_layer(node) if layer_bits < _FLOAT_BITS else None
            if layer is not None:
                shrinking.apply(layer, layer_bits)
        return graph


@dataclass(frozen=True, slots=True)
class _Layer:
    """A matrix product with constant weights."""

    node: ir.Node
    weights: ir.Value
    """The initialiser that holds the weights times 1 / `factor`."""
    transposed: bool
    """Whether the initialiser is [outputs, inputs]."""
    factor: float
    bias: Array | None
    """[outputs]; None where the operator takes none."""

    def read(self) -> Array:
        """[inputs, outputs]."""
        numbers = get_constant(self.weights)
        assert numbers is not None
        numbers = numbers.T if self.transposed else numbers
        return numbers if self.factor == 1 else numbers * np.float32(self.factor)

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        shape = self.weights.shape
        assert shape is not None
        return int(shape.numpy()[0 if self.transposed else 1])


def _find_layer(node: ir.Node) -> _Layer | None:
    if node.domain or node.op_type not in ("MatMul", "Gemm") or len(node.inputs) < 2:
        return None
    weights, attributes = node.inputs[1], node.attributes
    transposed = node.op_type == "Gemm" and attributes.get_int("transB", 0) != 0
    turn = match_operator(weights, "Transpose")
    if turn is not None and tuple(turn.attributes.get_ints("perm", ())) in {(), (1, 0)}:
        weights, transposed = turn.inputs[0], not transposed
    if weights is None or get_constant(weights) is None or get_rank(weights) != 2:
        return None
    layer = _Layer(node, weights, transposed, attributes.get_float("alpha", 1.0), None)
    if node.op_type == "MatMul":
        return layer
    bias = read_bias(node, layer.outputs)
    return None if bias is None or attributes.get_int("transA", 0) != 0 else replace(layer, bias=bias)


def _is_large(layer: _Layer | None) -> bool:
    if layer is None or layer.weights.dtype != ir.DataType.FLOAT or layer.weights.shape is None:
        return False
    return bool(np.prod(layer.weights.shape.numpy()) >= SMALLEST and np.isfinite(layer.read()).all())


def _list_sites(model: ir.Model, kinds: Mapping[str, str], bits: int) -> Iterator[RoundingSite]:
    """A site for all layers that read the same weights, where so many copies of few bits are smaller."""
    readers: dict[ir.Value, list[ir.Node]] = {}
    for node in model.graph:
        layer = _find_layer(node)
        if layer is not None:
            readers.setdefault(layer.weights, []).append(node)
    for nodes in readers.values():
        if _is_large(_find_layer(nodes[0])) and len(nodes) * max(bits, 8) < _FLOAT_BITS:
            layer_name = get_layer_name(nodes[0])
            kind = kinds.get(layer_name) or nodes[0].op_type
            names = tuple(node.name or "" for node in nodes)
            yield RoundingSite(layer_name, kind, (), names, (), has_activation=False)


class _Shrinking:
    """Makes the weights of layers of one graph small; `blocks` are those known from other graphs."""

    def __init__(self, model: ir.Model, blocks: dict[_Key, WeightBlocks]) -> None:
        self._graph = model.graph
        self._blocks = blocks

    def apply(self, layer: _Layer, bits: int) -> None:
        node, before = layer.node, layer.node.inputs[1]
        node.replace_input_with(1, self._write_weights(layer, bits))
        bias = np.zeros(layer.outputs, np.float32) if _is_joined(node) else layer.bias
        if bias is not None:
            node.op_type = "Gemm"
            node.resize_inputs(3)
            own_bias = node.inputs[2]
            node.replace_input_with(2, self._write_tensor(f"{node.name}.bias", ir.tensor(bias)))
            for name in ("alpha", "beta", "transB"):
                node.attributes.pop(name, None)
            self._remove_unread(own_bias)
        self._remove_unread(before)
        clamp = _find_clamp(node)
        if clamp is not None:
            self._write_clamp(clamp)

    def _write_clamp(self, clamp: ir.Node) -> None:
        """Relu(x) -> Max(x, 0), Clip(x, a, b) -> Min(Max(x, a), b): the same numbers."""
        value, *bounds = clamp.inputs
        if clamp.op_type == "Relu":
            bounds = [self._write_tensor(f"{clamp.name}.zero", ir.tensor(np.zeros((), np.float32)))]
        low, high = (*bounds, None, None)[:2]
        if low is not None and high is not None:
            lower = ir.node("Max", [value, low], name=f"{clamp.name}.low")
            self._graph.insert_before(clamp, lower)
            value, lower.outputs[0].name = lower.outputs[0], lower.name
            value.shape, value.type = clamp.outputs[0].shape, clamp.outputs[0].type
        bound = low if high is None else high
        clamp.op_type = "Identity" if bound is None else "Max" if high is None else "Min"
        clamp.resize_inputs(1 if bound is None else 2)
        clamp.replace_input_with(0, value)
        if bound is not None:
            clamp.replace_input_with(1, bound)

    def _write_weights(self, layer: _Layer, bits: int) -> ir.Value:
        """The weights as floats that a `DequantizeLinear` makes, one for each layer."""
        key = (layer.weights.name or "", layer.transposed, layer.factor, bits)
        if key not in self._blocks:
            self._blocks[key] = round_blocks(layer.read(), bits)
        blocks = self._blocks[key]
        name = f"{layer.weights.name}.int{bits}"
        numbers = self._write_tensor(name, blocks.whole), self._write_tensor(f"{name}_scale", blocks.scale)
        attributes = {"axis": 0, "block_size": blocks.block}
        name = _name_weights(layer.node.name or "")
        float_weights = ir.node("DequantizeLinear", numbers, attributes, name=name)
        value = float_weights.outputs[0]
        value.name, value.shape = float_weights.name, ir.Shape(blocks.whole.shape.numpy())
        value.type = ir.TensorType(ir.DataType.FLOAT)
        self._graph.insert_before(layer.node, float_weights)
        return value

    def _write_tensor(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        while name in self._graph.initializers:
            name += "_"
        shape, kind = ir.Shape(tensor.shape.numpy()), ir.TensorType(tensor.dtype)
        value = ir.Value(name=name, shape=shape, type=kind, const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def _remove_unread(self, value: ir.Value | None) -> None:
        """The value, and what it was computed from, are gone where nothing else reads them."""
        if value is None or list(value.uses()) or value.is_graph_output():
            return
        turn = value.producer()
        if turn is not None:
            source = turn.inputs[0]
            self._graph.remove([turn], safe=True)
            self._remove_unread(source)
        elif not value.is_graph_input():
            self._graph.initializers.pop(value.name or "", None)


def _name_weights(layer: str) -> str:
    """The name of the node that makes floats of a layer's weights."""
    return f"{layer}.weights"


def _is_joined(node: ir.Node) -> bool:
    """Whether it is a product of matrices that ONNX Runtime joins with a sum after it, which adds no bias."""
    if node.op_type != "MatMul" or node.inputs[0] is None or get_rank(node.inputs[0]) != 2:
        return False
    readers = [reader for reader, _ in node.outputs[0].uses()]
    if len(readers) != 1 or readers[0].op_type != "Add":
        return False
    others = [value for value in readers[0].inputs if value is not node.outputs[0]]
    return all(get_constant(value) is None for value in others)


def _find_clamp(node: ir.Node) -> ir.Node | None:
    """The `Relu` or `Clip` that alone reads the layer, or its sum with a constant."""
    readers = [reader for reader, _ in node.outputs[0].uses()]
    if len(readers) != 1 or node.outputs[0].is_graph_output():
        return None
    (reader,) = readers
    if reader.op_type == "Add" and any(get_constant(value) is not None for value in reader.inputs):
        return _find_clamp(reader)
    return reader if reader.op_type in ("Relu", "Clip") and not reader.domain else None
