"""Constant folding, and the rewriting that comes with onnxscript, as far as it is exact.

onnxscript takes a number within 1e-8 of 0 for 0, and one within 1e-5 of 1 for 1: `log(x + 1e-9)` would become
`log(x)`, infinite at 0. Its rules for neutral numbers are left out; `neutral_to_nothing` does their work.
"""

import math
from itertools import count

import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript import rewriter
from onnxscript.optimizer import fold_constants_ir
from onnxscript.rewriter.onnx_fusions import fuse
from onnxscript.rewriter.rules.common import _no_op, dropout_inference_rule, dropout_zero_rule

LARGEST_FOLDED = 2**16  # elements of the result of an operator that can return more than it reads
ROUNDS = 2
_GROWING = ("ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Upsample", "OneHot", "EyeLike", "Pad")
_REPEATING = ("Loop", "Scan")
_EXACT_RULES = (
    *(rule for rule in rewriter._DEFAULT_REWRITE_RULES if rule not in _no_op.rules.rules),
    *(dropout_zero_rule, dropout_inference_rule),
)
_TIDY = ir.passes.Sequential(
    passes.RemoveUnusedNodesPass(),
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    passes.LiftSubgraphInitializersToMainGraphPass(),
    passes.DeduplicateInitializersPass(),
    passes.CommonSubexpressionEliminationPass(),
    passes.OutputFixPass(),
    passes.NameFixPass(),
)


def fold_constants(model: ir.Model, *, trusted: bool = False) -> ir.Model:
    """The model itself, with its constant parts computed, and its sizes where they can be inferred.

    `trusted` is a graph that torch's newer exporter wrote. Of any other, nothing is computed that could take
    unbounded memory or time.
    """
    passes.InlinePass()(model)
    for _ in range(ROUNDS):
        fold_constants_ir(
            model, onnx_shape_inference=True, should_fold=_fold_any if trusted else _should_fold
        )
        rewriter.rewrite(model, _EXACT_RULES)
        _restore_initializers(model.graph)
    _TIDY(model)
    if trusted:
        fuse(model)
    return model


def _restore_initializers(graph: ir.Graph) -> None:
    """Constants whose place another took are initialisers again: onnxscript gives both the same name."""
    lost = {
        value: None
        for node in graph.all_nodes()
        for value in node.inputs
        if value is not None
        and value.const_value is not None
        and value.producer() is None
        and not (value.is_initializer() or value.is_graph_input())
    }
    for value in lost:
        value.name = next(
            name for name in map("restored_{}".format, count()) if name not in graph.initializers
        )
        graph.register_initializer(value)


def _fold_any(node: ir.Node) -> bool | None:
    """None, for the general limits."""
    return None


def _should_fold(node: ir.Node) -> bool | None:
    """False where computing the node could take unbounded memory or time; None for the general limits."""
    if node.op_type in _REPEATING:
        return False
    if node.op_type not in _GROWING:
        return None
    small = all(
        value.shape is not None
        and value.shape.is_static()
        and math.prod(value.shape.numpy()) <= LARGEST_FOLDED
        for value in node.outputs
    )
    return None if small else False
