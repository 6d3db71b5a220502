"""The layers that absorb scales and shifts in their weights, and how they are found beside a value."""

import numpy as np
import onnx_ir as ir

from convert.graph.edit import set_constant
from convert.graph.linear import (
    BatchNormalization,
    InstanceNormalization,
    LayerNormalization,
    LinearLayer,
    NotExactError,
)
from convert.graph.nodes import (
    feeds_only,
    get_attribute,
    get_constant,
    get_only_consumer,
    get_producer,
    get_rank,
    is_representable,
    list_operand_orders,
)
from convert.model_io.array import Array


def _to_column(vector: Array, axes: int, axis: int) -> Array:
    """[n] as [1, n, 1, ...] with its numbers along `axis`."""
    return vector.reshape([-1 if position == axis else 1 for position in range(axes)])


class _Conv(LinearLayer):
    """Convolution; weight [outputs, inputs / groups, kernel ...], channels along axis 1."""

    channel_axis = 1

    @property
    def outputs(self) -> int:
        return int(self.weights(1).shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weights(1).shape[1] * self._groups)

    @property
    def _groups(self) -> int:
        return int(get_attribute(self.node, "group", 1))

    def transform_output(self, scale: Array, shift: Array) -> None:
        weight = self.weights(1)
        bias = self.bias(2, self.outputs)
        self.store({1: weight * _to_column(scale, weight.ndim, 0), 2: bias * scale + shift}, weight.dtype)

    def transform_input(self, scale: Array, shift: Array) -> None:
        weight = self.weights(1)
        if shift.any() and self._pads():
            raise NotExactError(
                "a shift before a padded `Conv` differs at the border, where the padding is not shifted"
            )
        # Output channel o reads the input channels of its own group only.
        per_group = self.outputs // self._groups
        rows = np.repeat(np.stack([scale, shift]).reshape(2, self._groups, -1), per_group, axis=1)
        factors, shifts = (row.reshape(row.shape + (1,) * (weight.ndim - 2)) for row in rows)
        added = (weight.astype(np.float64) * shifts).reshape(self.outputs, -1).sum(axis=1)
        self.store({1: weight * factors, 2: self.bias(2, self.outputs) + added}, weight.dtype)

    def _pads(self) -> bool:
        automatic = self.node.attributes.get_string("auto_pad", "NOTSET")
        return automatic in ("SAME_UPPER", "SAME_LOWER") or any(self.node.attributes.get_ints("pads", ()))


class _Gemm(LinearLayer):
    """alpha · A · B + beta · C on rows [batch, channels]."""

    channel_axis = -1

    @property
    def _transposed(self) -> bool:
        return bool(get_attribute(self.node, "transB", 0))

    @property
    def outputs(self) -> int:
        return int(self.weights(1).shape[0 if self._transposed else 1])

    @property
    def inputs(self) -> int:
        return int(self.weights(1).shape[1 if self._transposed else 0])

    def transform_output(self, scale: Array, shift: Array) -> None:
        weight, beta = self.weights(1), self._beta()
        bias = self.bias(2, self.outputs) * scale + shift / beta
        self.store({1: weight * _to_column(scale, 2, 0 if self._transposed else 1), 2: bias}, weight.dtype)

    def transform_input(self, scale: Array, shift: Array) -> None:
        if get_attribute(self.node, "transA", 0):
            raise NotExactError("`Gemm` reads its input transposed, so its channels are rows")
        weight, beta = self.weights(1), self._beta()
        matrix = weight.astype(np.float64) if self._transposed else weight.T.astype(np.float64)
        bias = self.bias(2, self.outputs) + get_attribute(self.node, "alpha", 1) * (matrix @ shift) / beta
        self.store({1: weight * _to_column(scale, 2, 1 if self._transposed else 0), 2: bias}, weight.dtype)

    def _beta(self) -> float:
        beta = get_attribute(self.node, "beta", 1)
        if beta == 0:
            raise NotExactError("`Gemm` multiplies its bias by zero")
        return beta


class _MatMul(LinearLayer):
    """x · B with a constant matrix B [inputs, outputs], and the Add of a bias where one follows."""

    channel_axis = -1

    def __init__(self, node: ir.Node, add: ir.Node | None = None) -> None:
        super().__init__(node)
        self.add = add

    @property
    def _matrix(self) -> Array:
        matrix = self.weights(1)
        if matrix.ndim != 2:
            raise NotExactError(f"`MatMul` by a constant of {matrix.ndim} axes, expected 2")
        return matrix

    @property
    def outputs(self) -> int:
        return int(self._matrix.shape[1])

    @property
    def inputs(self) -> int:
        return int(self._matrix.shape[0])

    def transform_output(self, scale: Array, shift: Array) -> None:
        matrix = self._matrix
        bias = self._read_added() * scale + shift
        self._require_place(bias)
        self.store({1: matrix * scale}, matrix.dtype)
        self._store_bias(bias, matrix.dtype)

    def transform_input(self, scale: Array, shift: Array) -> None:
        matrix = self._matrix
        bias = self._read_added() + shift @ matrix.astype(np.float64) if shift.any() else None
        self._require_place(bias)
        self.store({1: matrix * scale.reshape(-1, 1)}, matrix.dtype)
        self._store_bias(bias, matrix.dtype)

    def _require_place(self, bias: Array | None) -> None:
        """NotExactError where there is no Add to hold the bias, or the bias leaves the type's range."""
        if bias is None:
            return
        if self.add is None and bias.any():
            raise NotExactError("`MatMul` has no bias that a shift could go into")
        if not is_representable(bias, self._matrix.dtype):
            raise NotExactError(f"the shifted bias of `MatMul` leaves the range of {self._matrix.dtype}")

    def _bias_position(self) -> int:
        return 1 if self.add is not None and get_constant(self.add.inputs[1]) is not None else 0

    def _read_added(self) -> Array:
        if self.add is None:
            return np.zeros(self.outputs)
        bias = get_constant(self.add.inputs[self._bias_position()])
        if bias is None or bias.ndim > 1 or bias.size not in (1, self.outputs):
            raise NotExactError("what is added after `MatMul` is not a bias, one number a channel")
        return np.broadcast_to(bias.reshape(-1).astype(np.float64), (self.outputs,))

    def _store_bias(self, bias: Array | None, dtype: np.dtype[np.generic]) -> None:
        if self.add is not None and bias is not None:
            set_constant(self.add, self._bias_position(), bias, dtype, "bias")


class _ConvTranspose(LinearLayer):
    """Transposed convolution; weight [inputs, outputs / groups, kernel ...], channels along axis 1."""

    channel_axis = 1

    @property
    def outputs(self) -> int:
        return int(self.weights(1).shape[1] * self._groups)

    @property
    def inputs(self) -> int:
        return int(self.weights(1).shape[0])

    @property
    def _groups(self) -> int:
        return int(get_attribute(self.node, "group", 1))

    def transform_output(self, scale: Array, shift: Array) -> None:
        weight = self.weights(1)
        # An input channel reaches the output channels of its own group only.
        rows = np.repeat(scale.reshape(self._groups, -1), self.inputs // self._groups, axis=0)
        factors = rows.reshape(rows.shape + (1,) * (weight.ndim - 2))
        bias = self.bias(2, self.outputs) * scale + shift
        self.store({1: weight * factors, 2: bias}, weight.dtype)

    def transform_input(self, scale: Array, shift: Array) -> None:
        weight = self.weights(1)
        if shift.any():
            raise NotExactError("a shift before `ConvTranspose` reaches its outputs unequally often")
        self.store({1: weight * scale.reshape((-1,) + (1,) * (weight.ndim - 1))}, weight.dtype)


_LAYERS: dict[str, type[LinearLayer]] = {
    "Conv": _Conv,
    "Gemm": _Gemm,
    "MatMul": _MatMul,
    "BatchNormalization": BatchNormalization,
    "ConvTranspose": _ConvTranspose,
    "InstanceNormalization": InstanceNormalization,
    "LayerNormalization": LayerNormalization,
}


def find_layer_before(value: ir.Value) -> LinearLayer | None:
    """The linear layer whose output `value` is, else None."""
    node = value.producer()
    if node is None or node.domain or value is not node.outputs[0]:
        return None  # a second output holds statistics, or a mask
    if node.op_type == "Add":
        return _find_biased_matmul(node)
    return _LAYERS[node.op_type](node) if node.op_type in _LAYERS else None


def find_layer_after(value: ir.Value) -> LinearLayer | None:
    """The first linear layer that reads `value` as its data (not as its weights), else None."""
    for node in value.consumers():
        if not node.domain and node.op_type in _LAYERS and node.inputs[0] is value:
            return _build_matmul(node) if node.op_type == "MatMul" else _LAYERS[node.op_type](node)
    return None


def _build_matmul(node: ir.Node) -> LinearLayer:
    add = get_only_consumer(node.outputs[0])
    biased = add is not None and not add.domain and add.op_type == "Add"
    constants = add is not None and any(get_constant(value) is not None for value in add.inputs)
    return _MatMul(node, add if biased and constants else None)


def _find_biased_matmul(add: ir.Node) -> LinearLayer | None:
    for value, other in list_operand_orders(add):
        inner = get_producer(value)
        if value is None or inner is None or inner.op_type != "MatMul" or get_constant(other) is None:
            continue
        is_bias = get_rank(add.outputs[0]) is not None and feeds_only(value, add)
        return _MatMul(inner, add) if is_bias else None
    return None
