"""Changes of an ONNX graph: new nodes in place of a node, and other constants."""

from typing import Any

import numpy as np
import onnx_ir as ir

from convert.model_io.array import Array


class Edit:
    """New nodes that take the place of `node`: they are inserted before it, and `replace` removes it."""

    def __init__(self, node: ir.Node) -> None:
        if not isinstance(node.graph, ir.Graph):
            raise ValueError(f"node `{node.name}` stands in no graph")
        self.node = node
        self.graph = node.graph
        self.output = node.outputs[0]
        self._made: list[ir.Node] = []

    def constant(self, numbers: Array | float, dtype: Any, role: str) -> ir.Value:
        """A new initialiser, rounded once to `dtype` and named after the node's output."""
        name = _choose_free_name(f"{self.output.name}.{role}", set(self.graph.initializers))
        array = np.asarray(numbers, dtype=dtype)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(list(array.shape)), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value

    def op(self, operator: str, *inputs: ir.Value, **attributes: float | str) -> ir.Value:
        """The output of a new node, with the shape and type of the output that is being replaced."""
        return self._insert(ir.node(operator, inputs, attributes or None))

    def reapply(self, *inputs: ir.Value | None) -> ir.Value:
        """The output of the operator that is being replaced, on other inputs."""
        return self._insert(ir.node(self.node.op_type, inputs, self.node.attributes))

    def _insert(self, node: ir.Node) -> ir.Value:
        node.metadata_props.update(self.node.metadata_props)
        taken = {made.outputs[0].name or "" for made in self._made}
        result = node.outputs[0]
        result.name = _choose_free_name(f"{self.output.name}.{node.op_type.lower()}", taken)
        result.shape, result.type = self.output.shape, self.output.type
        node.name = f"node_{result.name}"
        self.graph.insert_before(self.node, node)
        self._made.append(node)
        return result

    def replace(self, value: ir.Value) -> None:
        """`value` replaces the node's output everywhere; nodes that nothing reads any more are removed.

        A value made here takes the output's name, so that a graph keeps its names.
        """
        name, was_output = self.output.name, self.output.is_graph_output()
        ir.convenience.replace_all_uses_with(self.output, value, replace_graph_outputs=True)
        remove_node(self.node)
        if was_output or value.producer() in self._made:
            value.name = name


def set_constant(node: ir.Node, position: int, numbers: Array, dtype: Any, role: str) -> None:
    """`node` has its own constant at an input, rounded once from float64; other readers keep the old one."""
    old = node.inputs[position] if position < len(node.inputs) else None
    if old is not None and len(list(old.uses())) == 1 and not old.is_graph_output():
        old.const_value = ir.tensor(np.asarray(numbers, dtype=dtype), name=old.name)
        old.shape = ir.Shape(np.shape(numbers))
        return
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    node.replace_input_with(position, Edit(node).constant(numbers, dtype, role))


def remove_node(node: ir.Node) -> None:
    """The node is removed, with every node that only it read."""
    graph = node.graph
    sources = [value.producer() for value in node.inputs if value is not None]
    if isinstance(graph, ir.Graph):
        graph.remove(node, safe=True)
    for source in dict.fromkeys(sources):
        if source is not None and source.graph is graph and _is_unread(source):
            remove_node(source)


def _choose_free_name(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(free for number in range(2, len(taken) + 3) if (free := f"{name}_{number}") not in taken)


def _is_unread(node: ir.Node) -> bool:
    return not any(value.is_graph_output() or list(value.uses()) for value in node.outputs)
