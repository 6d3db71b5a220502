"""Questions about, and edits of, an ONNX graph: what the rules are written in."""

from typing import Any

import numpy as np
import onnx_ir as ir

Array = np.ndarray[Any, np.dtype[Any]]
SCOPES = "pkg.torch.onnx.name_scopes"


def constant(value: ir.Value | None) -> Array | None:
    """The numbers of an initialiser that nobody can override at run time, else None."""
    if value is None or value.const_value is None or value.producer() is not None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def scalar(value: ir.Value | None, beside: ir.Value | None = None) -> float | None:
    """The number of a constant of one element, with no more axes than `beside` surely has, else None."""
    array = constant(value)
    if array is None or array.size != 1 or (beside is not None and not fits(array, beside)):
        return None
    return float(array.reshape(()))


def rank(value: ir.Value) -> int | None:
    """The number of axes, None where the graph does not say."""
    return None if value.shape is None else len(value.shape)


def fits(array: Array, value: ir.Value) -> bool:
    """True where what is computed of a constant and the value has the value's own shape, for certain."""
    if not array.ndim:
        return True
    if value.shape is None or array.ndim > len(value.shape):
        return False
    sizes = tuple(value.shape)[len(value.shape) - array.ndim :]
    return all(own in (1, size) for own, size in zip(array.shape, sizes, strict=True))


def same_shape(one: ir.Value | None, other: ir.Value | None) -> bool:
    """True where two values have one shape for certain: sizes that the graph does not name may differ."""
    if one is None or other is None or one.shape is None or other.shape is None:
        return one is other and one is not None
    return one is other or (one.shape == other.shape and not any(_nameless(size) for size in one.shape))


def _nameless(size: int | ir.SymbolicDim) -> bool:
    return isinstance(size, ir.SymbolicDim) and size.value is None


def only_feeds(value: ir.Value, node: ir.Node) -> bool:
    """True where `node` alone reads `value`, once, and it is no output of the graph."""
    return not value.is_graph_output() and [use.node for use in value.uses()] == [node]


def only_consumer(value: ir.Value) -> ir.Node | None:
    """The one node that reads `value`; None for none, for several, and for an output of the graph."""
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def attribute(node: ir.Node, name: str, default: float) -> float:
    """A numeric attribute, or the default that its operator gives it."""
    found = node.attributes.get(name)
    return default if found is None else float(found.value)


def layer_of(node: ir.Node) -> str:
    """The module that the node came from, such as `features.3`; the node's own name where it does not say."""
    scopes = _scopes(node)
    return scopes[-1] if scopes else node.name or node.op_type


def _scopes(node: ir.Node) -> list[str]:
    written = node.metadata_props.get(SCOPES, "")
    # The exporter writes a Python list: the root's empty name, the enclosing modules, then the call itself.
    names = [part.strip().strip("'\"") for part in written.strip("[]").split(",")]
    return [name for name in names[:-1] if name]


def spread(array: Array, value: ir.Value, axis: int, channels: int) -> Array | None:
    """A constant that multiplies or shifts `value`, as one float64 number a channel: [channels].

    None where it differs along another axis than the channels', or would change the value's shape.
    """
    axes = rank(value)
    if axes is None or array.ndim > axes:
        return None
    aligned = array.reshape((1,) * (axes - array.ndim) + array.shape).astype(np.float64)
    others = [size for position, size in enumerate(aligned.shape) if position != axis % axes]
    if any(size != 1 for size in others) or aligned.size not in (1, channels):
        return None
    return np.broadcast_to(aligned.reshape(-1), (channels,))


def representable(numbers: Array, dtype: Any) -> bool:
    """True where rounding the float64 numbers to `dtype` neither overflows nor loses small ones."""
    limits = np.finfo(dtype)
    magnitude = np.abs(numbers)
    return bool(((magnitude <= limits.max) & ((magnitude >= limits.tiny) | (magnitude == 0))).all())


def set_constant(node: ir.Node, position: int, numbers: Array, dtype: Any, role: str) -> None:
    """Give `node` its own constant at an input, rounded once from float64; other readers keep the old one."""
    old = node.inputs[position] if position < len(node.inputs) else None
    if old is not None and len(list(old.uses())) == 1 and not old.is_graph_output():
        old.const_value = ir.tensor(np.asarray(numbers, dtype=dtype), name=old.name)
        old.shape = ir.Shape(np.shape(numbers))
        return
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    node.replace_input_with(position, Edit(node).constant(numbers, dtype, role))


class Edit:
    """New nodes that take the place of `node`: each is put before it, and `replace` then removes it."""

    def __init__(self, node: ir.Node) -> None:
        if not isinstance(node.graph, ir.Graph):
            raise ValueError(f"node `{node.name}` stands in no graph")
        self.node = node
        self.graph = node.graph
        self.output = node.outputs[0]
        self._made: list[ir.Node] = []

    def constant(self, numbers: Array | float, dtype: Any, role: str) -> ir.Value:
        """A new initialiser, rounded once to `dtype` and named after the node's output."""
        name = _free(f"{self.output.name}.{role}", set(self.graph.initializers))
        array = np.asarray(numbers, dtype=dtype)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(list(array.shape)), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value

    def op(self, operator: str, *inputs: ir.Value, **attributes: float | str) -> ir.Value:
        """The output of a new node, of the shape and type of the output that is being replaced."""
        return self._insert(ir.node(operator, inputs, attributes or None))

    def again(self, *inputs: ir.Value | None) -> ir.Value:
        """The output of the node that is being replaced, computed of other inputs."""
        return self._insert(ir.node(self.node.op_type, inputs, self.node.attributes))

    def _insert(self, node: ir.Node) -> ir.Value:
        node.metadata_props.update(self.node.metadata_props)
        taken = {made.outputs[0].name or "" for made in self._made}
        result = node.outputs[0]
        result.name = _free(f"{self.output.name}.{node.op_type.lower()}", taken)
        result.shape, result.type = self.output.shape, self.output.type
        node.name = f"node_{result.name}"
        self.graph.insert_before(self.node, node)
        self._made.append(node)
        return result

    def replace(self, value: ir.Value) -> None:
        """Let `value` be read wherever the node's output was; what nothing reads any more goes.

        A value made here takes the output's name, so that the names of a graph stay those it came with.
        """
        name, was_output = self.output.name, self.output.is_graph_output()
        ir.convenience.replace_all_uses_with(self.output, value, replace_graph_outputs=True)
        remove(self.node)
        if was_output or value.producer() in self._made:
            value.name = name


def remove(node: ir.Node) -> None:
    """The node is gone, and with it every node that only it read."""
    graph = node.graph
    sources = [value.producer() for value in node.inputs if value is not None]
    if isinstance(graph, ir.Graph):
        graph.remove(node, safe=True)
    for source in dict.fromkeys(sources):
        if source is not None and source.graph is graph and _unread(source):
            remove(source)


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(free for number in range(2, len(taken) + 3) if (free := f"{name}_{number}") not in taken)


def _unread(node: ir.Node) -> bool:
    return not any(value.is_graph_output() or list(value.uses()) for value in node.outputs)
