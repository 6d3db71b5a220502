"""Steps: operators whose result jumps where an input crosses a bound, so that its last digit counts.

`floor(x / 110)` is 1 at x = 110, and `floor(x · (1 / 110))` is 0: a rule that rounds differently is not exact
where its result reaches a step. It is exact again in front of a layer whose weights are not whole numbers:
every runtime rounds the sums of such a layer differently.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import get_constant
from convert.graph.rule import Rule
from convert.model_io.array import Array

_STEPS = frozenset(
    (
        *("Floor", "Ceil", "Round", "Sign", "Mod", "QuantizeLinear", "DynamicQuantizeLinear"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Shrink", "ThresholdedRelu"),
        *("ArgMax", "ArgMin", "TopK", "Hardmax", "NonZero", "Unique", "NonMaxSuppression", "Range"),
        *("Bernoulli", "Multinomial"),
    )
)
_LAYERS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
_MIXING = frozenset(
    (
        *("Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization"),
        *("RMSNormalization", "LpNormalization", "MeanVarianceNormalization"),
        *("LSTM", "GRU", "RNN", "Attention"),
    )
)
# Their first input is only moved or averaged; where from, the others decide.
_MOVING = frozenset(("Resize", "GridSample", "RoiAlign", "MaxRoiPool", "MaxUnpool"))


class StepGuard:
    """The values of a graph that reach a step, as the graph stands when it is made."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._reaching: set[ir.Value] = set()
        for node in reversed(list(graph)):
            if any(self._reaches_step(value) for value in node.outputs):
                self._reaching.update(node.outputs)

    @property
    def is_needed(self) -> bool:
        """Whether any value reaches a step."""
        return bool(self._reaching) or any(map(self._reaches_step, self._graph.inputs))

    def forbids(self, rule: Rule, node: ir.Node) -> bool:
        """True where the rule would change digits that reach a step."""
        if rule.is_exact:
            return False
        changed = [*node.outputs, *(node.inputs if rule.changes_inputs else ())]
        return any(
            self._reaches_step(value, apart_from=node)
            for value in changed
            if value is not None and get_constant(value) is None
        )

    def _reaches_step(self, value: ir.Value, apart_from: ir.Node | None = None) -> bool:
        return any(
            self._leads_to_step(use.node, use.idx) for use in value.uses() if use.node is not apart_from
        )

    def _leads_to_step(self, node: ir.Node, place: int) -> bool:
        """True where a digit of this input counts, at the node or behind it."""
        if node.graph is not self._graph or node.domain or _has_body(node):
            return True  # what a body or an operator of others does is not looked at
        if node.op_type in _STEPS or _is_whole_cast(node) or _returns_places(node):
            return True
        if node.op_type in _MOVING and place > 0:
            return True
        return not _is_mixing(node) and any(value in self._reaching for value in node.outputs)


def _is_whole_cast(node: ir.Node) -> bool:
    if node.op_type != "Cast":
        return False
    target = ir.DataType(node.attributes["to"].as_int())
    return target.is_integer() or target == ir.DataType.BOOL


def _returns_places(node: ir.Node) -> bool:
    """True for a pooling that also says where each maximum was."""
    return node.op_type == "MaxPool" and any(list(value.uses()) for value in node.outputs[1:])


def _has_body(node: ir.Node) -> bool:
    bodies = ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS
    return any(attribute.type in bodies for attribute in node.attributes.values())


def _is_mixing(node: ir.Node) -> bool:
    if node.op_type in _MIXING:
        return True
    if node.op_type not in _LAYERS:
        return False
    # A bias, the third input, is added once, and leaves whole sums as exact as they are.
    weights = map(get_constant, node.inputs[:2])
    return any(array is not None and _has_fractions(array) for array in weights)


def _has_fractions(array: Array) -> bool:
    """Nearly always seen in the first few numbers."""
    numbers = array.reshape(-1)
    return any(bool((np.floor(part) != part).any()) for part in (numbers[:64], numbers[64:]))
