"""An ONNX graph in float64: the reference for the parity of a graph that came as ONNX."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_conv_transpose as onnx_conv_transpose
from onnx.reference.ops import op_max_pool as onnx_max_pool
from torch.nn import functional as F

from convert.errors import ExportError
from convert.model_io.array import Array
from convert.model_io.forward import convolve_each
from convert.model_io.runtime import Session

_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")
# Inputs that are float32 whatever the type of the data.
_FLOAT32_INPUTS = {"Resize": (1, 2), "Upsample": (1,), "NonMaxSuppression": (0, 1, 3, 4)}
EVALUATOR_ERRORS = (
    *(RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError, ArithmeticError),
    *(NotImplementedError, MemoryError),
)
"""What onnx's own evaluator raises on operators, or forms of them, that it does not support."""


class Conv(OpRun):
    """Convolution by torch in float64: onnx's own is a hundred times slower."""

    def _run(self, x: Array, w: Array, b: Array | None = None, **options: Any) -> tuple[Array]:
        """[N, C, ...], [K, C / group, ...] -> [N, K, ...]."""
        convolve = (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3]
        padded, strides, dilations = _pad(x, w.shape[2:], options, 0.0)
        bias = None if b is None else torch.from_numpy(b.copy())
        weight = torch.from_numpy(w.copy())
        groups = options.get("group") or 1
        return (convolve_each(convolve, padded, weight, bias, strides, 0, dilations, groups).numpy(),)


class ConvTranspose(OpRun):
    """Transposed convolution by torch in float64, where pads are numbers; else by onnx, far slower."""

    def _run(self, x: Array, w: Array, b: Array | None = None, **options: Any) -> tuple[Array, ...]:
        """[N, C, ...], [C, K / group, ...] -> [N, K, ...]."""
        axes = x.ndim - 2
        strides = list(options.get("strides") or [1] * axes)
        dilations = list(options.get("dilations") or [1] * axes)
        added = list(options.get("output_padding") or [0] * axes)
        reach = zip(added, strides, dilations, strict=True)
        if (
            options.get("output_shape")
            or (options.get("auto_pad") or "NOTSET") != "NOTSET"
            or any(extra >= max(stride, dilation) for extra, stride, dilation in reach)  # torch refuses these
        ):
            plain: Any = onnx_conv_transpose.ConvTranspose(self.onnx_node, self.run_params)
            return tuple(plain._run(x, w, b, **options))
        convolve: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
        bias = None if b is None else torch.from_numpy(b.copy())
        tensors = (torch.from_numpy(x.copy()), torch.from_numpy(w.copy()), bias)
        whole: Array = convolve(*tensors, strides, 0, added, options.get("group") or 1, dilations).numpy()
        pads = options.get("pads") or [0] * (2 * axes)
        inside = (
            slice(start, size - end)
            for start, end, size in zip(pads[:axes], pads[axes:], whole.shape[2:], strict=True)
        )
        return (whole[(slice(None), slice(None), *inside)],)


class MaxPool(OpRun):
    """Max pooling by torch, in its plain form; else by onnx itself."""

    def _run(self, x: Array, **options: Any) -> tuple[Array, ...]:
        """[N, C, ...] -> [N, C, ...]."""
        if options.get("ceil_mode") or len(self.output) > 1 or x.dtype.kind != "f":
            plain: Any = onnx_max_pool.MaxPool(self.onnx_node, self.run_params)
            return tuple(plain._run(x, **options))
        pool: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
        kernel = options["kernel_shape"]
        padded, strides, dilations = _pad(x, kernel, options, -math.inf)
        return (pool(padded, kernel, strides, 0, dilations).numpy(),)


class GatherElements(OpRun):
    """GatherElements by torch: onnx's own fails where the indices have another shape than the data."""

    def _run(self, data: Array, indices: Array, axis: int = 0) -> tuple[Array]:
        """[d0, d1, ...], [i0, i1, ...] -> [i0, i1, ...], a number of `data` for each index along the axis."""
        places = np.where(indices < 0, indices + data.shape[axis], indices).astype(np.int64)
        return (torch.gather(torch.from_numpy(data.copy()), axis, torch.from_numpy(places)).numpy(),)


def _pad(
    x: Array, kernel: Sequence[int], options: dict[str, Any], filling: float
) -> tuple[torch.Tensor, list[int], list[int]]:
    """The padded samples, and the strides and dilations of the windows on them."""
    axes = x.ndim - 2
    strides = list(options.get("strides") or [1] * axes)
    dilations = list(options.get("dilations") or [1] * axes)
    pads = _resolve_pads(options, x.shape[2:], kernel, strides, dilations)
    # torch counts from the last axis, ONNX gives all the starts and then all the ends.
    around = [pads[axis + end] for axis in reversed(range(axes)) for end in (0, axes)]
    return F.pad(torch.from_numpy(x.copy()), around, value=filling), strides, dilations


def _resolve_pads(
    options: dict[str, Any],
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    mode = options.get("auto_pad") or "NOTSET"
    if mode == "NOTSET":
        return list(options.get("pads") or [0] * (2 * len(sizes)))
    if mode == "VALID":
        return [0] * (2 * len(sizes))
    needed = [
        max((-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size, 0)
        for size, length, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    smaller, larger = [pad // 2 for pad in needed], [pad - pad // 2 for pad in needed]
    return [*smaller, *larger] if mode == "SAME_UPPER" else [*larger, *smaller]


class Float64Graph:
    """The graph in float64: run by ONNX Runtime where it has all operators, else by onnx's own evaluator."""

    def __init__(self, model: ModelProto, names: Sequence[str]) -> None:
        wide = convert_to_float64(model)
        self._names = tuple(names)
        self._outputs = [value.name for value in wide.graph.output]
        self._session: Session | None = None
        self._weights: Mapping[str, Array] = {}
        try:
            self._session = Session(wide.SerializeToString(), names)
        except (ExportError, ValueError):  # ValueError: more than protobuf holds, in float64
            # Fed with the weights, the evaluator does not keep them twice, in the graph and as arrays.
            self._weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in wide.graph.initializer}
            del wide.graph.initializer[:]
            bare = ModelProto()
            bare.CopyFrom(wide)  # protobuf frees deleted fields only with their message
            self._evaluator = ReferenceEvaluator(bare, new_ops=[Conv, ConvTranspose, MaxPool, GatherElements])

    def run(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs by name. Raises what onnx's evaluator raises, or ExportError."""
        if self._session is not None:
            return self._session.run(arrays)
        with np.errstate(all="ignore"):
            feeds = dict(zip(self._names, arrays, strict=True))
            values = self._evaluator.run(None, {**self._weights, **feeds})
        return {name: np.array(value) for name, value in zip(self._outputs, values, strict=True)}


def convert_to_float64(model: ModelProto) -> ModelProto:
    """A copy of the graph with float64 for float32 throughout; it must have no functions or external data."""
    wide = ModelProto()
    wide.CopyFrom(model)
    del wide.graph.value_info[:]
    _widen_graph(wide.graph)
    return wide


def _widen_graph(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.extend(_cast_to_float32(node))
        _widen_node(node)
        graph.node.append(node)


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)
        )


def _cast_to_float32(node: NodeProto) -> list[NodeProto]:
    """Casts of the inputs that must stay float32; the node now reads these."""
    casts = []
    for place in _FLOAT32_INPUTS.get(node.op_type, ()):
        if place < len(node.input) and node.input[place]:
            narrow = f"{node.output[0]}/narrow_{place}"
            casts.append(onnx.helper.make_node("Cast", [node.input[place]], [narrow], to=TensorProto.FLOAT))
            node.input[place] = narrow
    return casts


def _widen_node(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name in _TYPE_ATTRIBUTES and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.DOUBLE
        if attribute.HasField("t"):
            _widen_tensor(attribute.t)
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            _widen_graph(graph)
    _widen_constant(node)


def _widen_constant(node: NodeProto) -> None:
    """A constant that is an attribute of float32 numbers becomes a tensor of float64."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "ConstantOfShape" and not attributes:
        node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))
    elif node.op_type == "Constant" and ("value_float" in attributes or "value_floats" in attributes):
        (attribute,) = attributes.values()
        numbers = attribute.f if attribute.name == "value_float" else list(attribute.floats)
        del node.attribute[:]
        value = np.asarray(np.asarray(numbers, np.float32), np.float64)
        node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(value)))
