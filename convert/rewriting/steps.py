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
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
        *("ArgMax", "ArgMin", "TopK", "Hardmax", "NonZero", "Unique", "NonMaxSuppression", "Range"),
        *("GridSample", "Resize", "RoiAlign", "MaxUnpool", "Bernoulli", "Multinomial"),
    )
)
_LAYERS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
_MIXING = frozenset(
    (
        *("Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization"),
        *(
            "RMSNormalization",
            "LpNormalization",
            "MeanVarianceNormalization",
            "LSTM",
            "GRU",
            "RNN",
            "Attention",
        ),
    )
)


class StepGuard:
    """The values of a graph that reach a step, as the graph stands when it is made."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._reaching: set[ir.Value] = set()
        for node in reversed(list(graph)):
            if any(self._leads_to_step(use) for value in node.outputs for use in value.consumers()):
                self._reaching.update(node.outputs)

    @property
    def is_needed(self) -> bool:
        """Whether any value reaches a step."""
        return bool(self._reaching) or any(map(self._leads_to_step, self._graph))

    def forbids(self, rule: Rule, node: ir.Node) -> bool:
        """True where the rule would change digits that reach a step."""
        if rule.is_exact:
            return False
        changed = [*node.outputs, *(node.inputs if rule.changes_inputs else ())]
        return any(
            self._leads_to_step(consumer)
            for value in changed
            if value is not None and get_constant(value) is None
            for consumer in value.consumers()
            if consumer is not node
        )

    def _leads_to_step(self, node: ir.Node) -> bool:
        """True where a digit of the node's inputs counts, at it or behind it."""
        if node.graph is not self._graph or node.domain or _has_body(node):
            return True  # what a body or an operator of others does is not looked at
        if node.op_type in _STEPS or _is_whole_cast(node):
            return True
        return not _is_mixing(node) and any(value in self._reaching for value in node.outputs)


def _is_whole_cast(node: ir.Node) -> bool:
    if node.op_type != "Cast":
        return False
    target = ir.DataType(node.attributes["to"].as_int())
    return target.is_integer() or target == ir.DataType.BOOL


def _has_body(node: ir.Node) -> bool:
    bodies = ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS
    return any(attribute.type in bodies for attribute in node.attributes.values())


def _is_mixing(node: ir.Node) -> bool:
    if node.op_type in _MIXING:
        return True
    if node.op_type not in _LAYERS:
        return False
    return any(array is not None and _has_fractions(array) for array in map(get_constant, node.inputs))


def _has_fractions(array: Array) -> bool:
    """Nearly always seen in the first few numbers."""
    numbers = array.reshape(-1)
    return any(bool((np.floor(part) != part).any()) for part in (numbers[:64], numbers[64:]))
