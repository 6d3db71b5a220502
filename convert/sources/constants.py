"""Constant folding, and the rewriting that comes with onnxscript, as far as it is exact.

onnxscript takes a number within 1e-8 of 0 for 0, and one within 1e-5 of 1 for 1: `log(x + 1e-9)` would become
`log(x)`, infinite at 0. Its rules for neutral numbers are left out; `neutral_to_nothing` does their work.
Those that join a Clip with the Relu or Clip after it are left out too: `relu(clip(x, -3, -1))` would become
-1, as bounds that share no number.
"""

import math
from itertools import count

import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript import rewriter
from onnxscript.optimizer import fold_constants_ir
from onnxscript.rewriter.onnx_fusions import fuse
from onnxscript.rewriter.rules import common

LARGEST_FOLDED = 2**16  # elements of the result of an operator that can return more than it reads
ROUNDS = 2
_GROWING = ("ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Upsample", "OneHot", "EyeLike", "Pad")
_REPEATING = ("Loop", "Scan")
# In the order in which they run: onnxscript's own that are exact, and two for dropout.
_EXACT = """
    two_reshapes_matmul_reshape one_reshape_matmul_reshape cast_constant_of_shape
    cast_constant_of_shape_without_value collapse_slice collapse_slice2 materialize_reshape_shape min_min
    max_max min_max max_min successive_clip_relu successive_relu cast_cast no_op_cast no_op_expand
    flatten_to_reshape reshape_reshape slice_split no_op_transpose transpose_transpose unsqueeze_unsqueeze
    squeeze_reshape_1d no_op_dynamic_scatter_nd
    no_op_static_scatter_nd normalize_pad_format_conv normalize_pad_format_conv_integer fuse_pad_into_conv
    fuse_pad_into_conv_integer fuse_batchnorm_into_conv fuse_batchnorm_into_conv_transpose
    fuse_batchnorm_into_gemm remove_optional_bias_from_conv remove_optional_bias_from_conv_transpose
    remove_optional_bias_from_qlinear_conv remove_optional_bias_from_gemm dropout_zero dropout_inference
"""
_EXACT_RULES = tuple(getattr(common, f"{name}_rule") for name in _EXACT.split())
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
