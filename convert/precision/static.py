"""Static int8: layers on whole numbers of 8 bits, in ranges that calibration data give.

The input of a layer is rounded to 256 steps (`QuantizeLinear`, `DequantizeLinear`), weights to one scale a
channel. They have 8 bits: a CPU without VNNI adds two products up in 16 bits, which can overflow, and there
the provider `cpu` has ONNX Runtime compute them another way. Activations are computed in float; the
results and inputs of the layers around them are rounded.

ONNX Runtime computes a convolution on 8 bits only if its result is rounded too. OpenVINO gives floats too,
joins the activation to the layer then, and loses the bias of a convolution whose rounded result goes through
a `Reshape` to a `Concat`: for it a result is rounded only where layers read it. It also multiplies two
computed matrices on 8 bits, as in attention, and gains by that where both have symmetric ranges.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData

from convert.graph.nodes import feeds_only, get_constant
from convert.manifest.records import SYMMETRIC
from convert.precision.distributions import Distributions
from convert.precision.int8 import copy_graph, infer_shapes, remove_unread, require_standard, silence
from convert.precision.pools import round_before_pools
from convert.precision.ranges import NAMES, RangeMethod, choose_range, widen_to_symmetric
from convert.precision.shifts import Bias, correct_biases, make_rows
from convert.precision.sites import LINEAR, Ranges, RoundingSite, find_sites, is_linear, is_product

CARRIERS = frozenset({"MaxPool", "AveragePool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"})
"""Operators between an activation and its readers that ONNX Runtime computes on 8 bits too."""
FLOAT_RESULTS = frozenset({"openvino"})
"""The providers whose layers on 8 bits give floats, and that multiply two computed matrices on 8 bits."""
_CHEAP_IN_FLOAT = ("Gemm", "MatMul")
"""The layers that ONNX Runtime computes on 8 bits and gives floats of."""
_SIGNED = [{"quant_type": QuantType.QInt8}]
"""Of whole numbers with a sign, 0 stands for 0 in a symmetric range."""
_CLAMPS = ("Relu", "Clip")
"""Rounding to unsigned numbers clamps too: the library leaves these out where only they read a layer.

Not a Clip that leaves out 0, which every range includes.
"""


def find_static_sites(model: ir.Model, kinds: Mapping[str, str], provider: str) -> tuple[RoundingSite, ...]:
    """The sites at which a graph is rounded for the provider; `kinds` names the class of each module."""
    return find_sites(model, kinds, products=provider in FLOAT_RESULTS)


class StaticScheme:
    """Rounds to ranges that `choose` takes from the distributions of calibration data, for one provider."""

    def __init__(
        self,
        model: ir.Model,
        sites: Sequence[RoundingSite],
        distributions: Distributions,
        choose: RangeMethod = choose_range,
        provider: str = "cpu",
    ) -> None:
        self.sites = sites
        self._gives_floats = provider in FLOAT_RESULTS
        self._graph = infer_shapes(model)
        self._distributions = distributions
        self._clipped = {node.outputs[0].name or "" for node in model.graph if node.op_type == "Clip"}
        self._factors = _list_factors(model, sites)
        self._choose_ranges(choose)
        rows = make_rows(model)
        self._unfit = {name for name, bias in rows.items() if bias is None}
        self._biases = {
            **{name: bias for name, bias in rows.items() if bias is not None},
            **correct_biases(model, distributions),
        }
        clamps = {node.name: node for node in model.graph if _is_clamp(node) and _is_alone_after_layer(node)}
        self._clamped = {node.outputs[0].name or "" for node in clamps.values()}
        self._carriers = {*clamps, *_find_carriers(model)}

    def with_ranges(self, choose: RangeMethod) -> "StaticScheme":
        """The same scheme with ranges that `choose` takes; the two share the graph in memory."""
        other = copy(self)
        other._choose_ranges(choose)
        return other

    def with_symmetric_ranges(self) -> "StaticScheme":
        """The same scheme with signed whole numbers and a zero point of 0, in ranges that hold these.

        Those of numbers from 0 on, and those of a Clip's results, stay as they are.
        """
        other = copy(self)
        other.ranges_by = self.ranges_by and self.ranges_by + SYMMETRIC
        other._make_symmetric(self._ranges)
        return other

    def _choose_ranges(self, choose: RangeMethod) -> None:
        self.ranges_by = NAMES.get(choose)
        self._signed: set[str] = set()
        # Rounding that replaces a Clip must not end beyond it.
        self._ranges = {
            name: choose_range(values) if name in self._clipped else choose(values)
            for name, values in self._distributions.items()
        }
        self._make_symmetric(self._factors)

    def _make_symmetric(self, names: Iterable[str]) -> None:
        free = [name for name in names if name in self._ranges and name not in self._clipped]
        signed = {name for name in free if self._ranges[name][0] < 0}
        # Not in place: schemes that are copies of each other share these.
        self._signed = self._signed | signed
        self._ranges = self._ranges | {name: widen_to_symmetric(*self._ranges[name]) for name in signed}

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        """Whether anything is rounded with these sites in float."""
        return bool(self._readers(kept))

    def _readers(self, kept: Collection[RoundingSite]) -> set[str]:
        """The layers on 8 bits; in ONNX Runtime a convolution that gives floats takes longer with these."""
        readers = {name for site in self.sites if site not in kept for name in site.readers} - self._unfit
        if self._gives_floats:
            return readers
        return readers - {name for site in kept if site.has_activation for name in site.writers}

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        """The rounded graph; the float graph is left as it is."""
        left = [site for site in self.sites if site not in kept]
        readers = self._readers(kept)
        carriers = {name for site in left for name in site.between} & self._carriers
        biases = [self._biases[name] for name in sorted(readers & self._biases.keys())]
        with silence():
            quantiser = QDQQuantizer(
                _replace_biases(copy_graph(self._graph), biases),
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=_to_tensors_data(self._ranges),
                nodes_to_quantize=[*readers, *carriers] or [""],
                nodes_to_exclude=[],
                op_types_to_quantize=[*LINEAR, *CARRIERS, *_CLAMPS],
                extra_options={"TensorQuantOverrides": dict.fromkeys(self._signed, _SIGNED)},
            )
            quantiser.quantize_model()
        graph = require_standard(quantiser.model.model)
        operators = ("Conv", *_CHEAP_IN_FLOAT) if self._gives_floats else _CHEAP_IN_FLOAT
        _restore_floats(graph, self._clamped, readers | carriers, operators)
        if self._gives_floats:
            _restore_reductions(graph, self._clamped)
        round_before_pools(graph, carriers)
        remove_unread(graph)
        return graph


def list_rounded_values(model: ir.Model) -> list[str]:
    """The values that static rounding may give a range."""
    graph = infer_shapes(model).graph
    described = (*graph.input, *graph.value_info, *graph.output)
    floats = {value.name for value in described if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    operators = {*LINEAR, *CARRIERS, *_CLAMPS}
    names = [
        value.name
        for node in model.graph
        if node.op_type in operators
        for value in (*node.inputs[: 2 if is_product(node) else 1], *node.outputs)
        if value is not None and value.name in floats and get_constant(value) is None
    ]
    return [name for name in dict.fromkeys(names) if name]


def _replace_biases(proto: onnx.ModelProto, biases: Sequence[Bias]) -> onnx.ModelProto:
    """The graph with these biases."""
    nodes = {node.name: node for node in proto.graph.node}
    for bias in biases:
        name = f"{bias.node}.bias_corrected"
        node = nodes[bias.node]
        node.input[bias.place] = name
        for attribute in [attribute for attribute in node.attribute if attribute.name == "beta"]:
            node.attribute.remove(attribute)  # it is 1, or a factor of the numbers already
        proto.graph.initializer.append(numpy_helper.from_array(bias.numbers, name))
    return proto


def _list_factors(model: ir.Model, sites: Sequence[RoundingSite]) -> list[str]:
    """The values that the products among the sites' readers multiply."""
    readers = {name for site in sites for name in site.readers}
    products = [node for node in model.graph if node.name in readers and is_product(node)]
    return [value.name or "" for node in products for value in node.inputs if value is not None]


def _to_tensors_data(ranges: Ranges) -> TensorsData:
    limits = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    pairs = {name: tuple(np.array(limit) for limit in pair) for name, pair in limits.items()}
    return TensorsData(CalibrationMethod.MinMax, pairs)


def _is_clamp(node: ir.Node) -> bool:
    """Whether rounding its result does what it does, in a range between its bounds that includes 0."""
    if node.op_type not in _CLAMPS or node.domain:
        return False
    inputs = (*node.inputs[1:], None, None)[:2]
    low, high = (np.zeros(()) if bound is None else get_constant(bound) for bound in inputs)
    return low is not None and high is not None and bool((low <= 0).all() and (high >= 0).all())


def _is_alone_after_layer(node: ir.Node) -> bool:
    value = node.inputs[0]
    producer = None if value is None else value.producer()
    return value is not None and producer is not None and is_linear(producer) and feeds_only(value, node)


def _find_carriers(model: ir.Model) -> set[str]:
    """The carriers that lead to layers through other carriers alone.

    Around any other, such as those inside attention, rounding would save nothing: what reads them
    computes in float.
    """
    found: set[str] = set()
    for node in reversed(list(model.graph)):
        readers = [reader for output in node.outputs for reader, _ in output.uses()]
        if node.op_type in CARRIERS and any(is_linear(each) or each.name in found for each in readers):
            found.add(node.name or "")
    return found


def _restore_floats(
    graph: ir.Model, clamped: Collection[str], on_eight_bits: Collection[str], cheap: Collection[str]
) -> None:
    """Layers give floats where that costs nothing: to the outputs, and those of `cheap` to an activation.

    `on_eight_bits` are the names of the nodes that read 8 bits. Values that rounding clamps stay rounded.
    """
    for node in list(graph.graph):
        pair = _find_quantize(node)
        exact = None if pair is None else pair.inputs[0]
        layer = None if exact is None else exact.producer()
        if pair is None or exact is None or layer is None or _is_named(exact, clamped):
            continue
        rounded = node.outputs[0]
        readers = [reader.name for reader, _ in rounded.uses()]
        free = layer.op_type in cheap and not any(name in on_eight_bits for name in readers)
        if not free and (readers or layer.op_type != "Conv"):
            continue
        name, was_output = rounded.name, rounded.is_graph_output()
        exact.type, exact.shape = ir.TensorType(ir.DataType.FLOAT), exact.shape or rounded.shape
        ir.convenience.replace_all_uses_with(rounded, exact, replace_graph_outputs=True)
        graph.graph.remove([node, pair], safe=True)
        if was_output:
            exact.name = name


def _restore_reductions(graph: ir.Model, clamped: Collection[str]) -> None:
    """Means, sums and extremes read floats, but of values that rounding clamps.

    OpenVINO 2026.4 computes those of rounded numbers that a layer reads too wrong, by all of their scale.
    """
    for node in graph.graph:
        rounded = node.inputs[0] if node.op_type.startswith("Reduce") else None
        pair = None if rounded is None else rounded.producer()
        whole = None if pair is None or pair.op_type != "DequantizeLinear" else pair.inputs[0]
        quantize = None if whole is None else whole.producer()
        exact = None if quantize is None else quantize.inputs[0]
        if exact is not None and not _is_named(exact, clamped):
            node.replace_input_with(0, exact)


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
