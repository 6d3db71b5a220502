"""The opsets that can be written, and the conversion of a graph to an older one."""

import numpy as np
import onnx
import onnx_ir as ir

from convert.errors import ExportError, UsageError
from convert.graph.edit import Edit
from convert.graph.small_weights import has_blocks

OPSETS = range(17, 24)
DEFAULT_OPSET = 20
OLDEST_WRITTEN = 18
"""The oldest that torch's newer exporter writes."""


GRID_OPSET = 20
_GRID_MODES = {"linear": "bilinear", "cubic": "bicubic"}
"""The names that GridSample's ways of interpolating had before GRID_OPSET."""
BLOCKS_OPSET = 21
"""The oldest whose `DequantizeLinear` has blocks, and 4 bits."""


def find_oldest(graph: ir.Model | None, oldest: int) -> int:
    """The oldest opset that will do for a graph of the user's, which `oldest` is the least of."""
    blocks = graph is not None and any(has_blocks(node) for node in graph.graph.all_nodes())
    return max(oldest, BLOCKS_OPSET) if blocks else oldest


def choose_opset(asked: int | None, oldest: int) -> int:
    """The opset that is asked for, else the default one, or the oldest that will do.

    Raises UsageError where the one that is asked for is older than that.
    """
    if asked is None:
        return max(DEFAULT_OPSET, oldest)
    if asked in OPSETS and asked < oldest:
        raise UsageError(
            f"opset {asked} was asked for, and weights of few bits need {oldest}", hint=f"--opset {oldest}"
        )
    return asked


def lower_opset(model: ir.Model, opset: int) -> ir.Model:
    """The graph with the operators of an older opset; the graph itself where it has no newer ones.

    An operator stays where its older version takes the same inputs and attributes: otherwise versions differ
    only in the types that they take. Raises ExportError where an operator has no older form.
    """
    own = model.opset_imports[""]
    if own <= opset:
        return model
    lowered = model.clone()
    for node in list(lowered.graph.all_nodes()):
        if node.op_type == "Mish" and opset < OLDEST_WRITTEN and not node.domain:
            _mish_to_tanh(node)
        elif not node.domain:
            _lower_node(node, own, opset)
    lowered.opset_imports[""] = opset
    lowered.graph.opset_imports[""] = opset
    return lowered


def _lower_node(node: ir.Node, own: int, opset: int) -> None:
    newer = onnx.defs.get_schema(node.op_type, own, "")
    if newer.since_version <= opset:
        return
    older = _find_older(node, newer, opset)
    if node.op_type == "GridSample" and older.since_version < GRID_OPSET:
        mode = node.attributes.get_string("mode", "linear")
        node.attributes["mode"] = ir.AttrString("mode", _GRID_MODES.get(mode, mode))
    if node.op_type.startswith("Reduce") and older.max_input == 1 and len(node.inputs) > 1:
        _axes_to_attribute(node, opset)
    if node.op_type == "Split" and "num_outputs" not in older.attributes:
        _parts_to_sizes(node, opset)
    unsupported = [
        name
        for name in node.attributes
        if name not in older.attributes and not _is_default(node, name, newer)
    ]
    if unsupported or len(node.inputs) > older.max_input:
        raise _build_error(node, newer.since_version, opset)
    for name in [name for name in node.attributes if name not in older.attributes]:
        del node.attributes[name]


def _find_older(node: ir.Node, newer: onnx.defs.OpSchema, opset: int) -> onnx.defs.OpSchema:
    """The operator as the older opset has it. Raises ExportError where there is none, or a deprecated one.

    So is GroupNormalization before 21, whose scale was one number for each group.
    """
    try:
        older = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise _build_error(node, newer.since_version, opset) from error
    if older.deprecated:
        raise _build_error(node, newer.since_version, opset)
    return older


def _mish_to_tanh(node: ir.Node) -> None:
    """Mish(x) -> x · Tanh(Softplus(x))."""
    edit, value = Edit(node), node.inputs[0]
    assert value is not None
    edit.replace(edit.op("Mul", value, edit.op("Tanh", edit.op("Softplus", value))))


def _axes_to_attribute(node: ir.Node, opset: int) -> None:
    """ReduceMean(x, axes) -> ReduceMean<axes>(x)."""
    axes = node.inputs[1]
    if axes is not None:
        if axes.const_value is None:
            raise _build_error(node, OLDEST_WRITTEN, opset)
        numbers = [int(axis) for axis in axes.const_value.numpy().reshape(-1)]
        if numbers:
            node.attributes["axes"] = ir.AttrInt64s("axes", numbers)
    node.resize_inputs(1)


def _parts_to_sizes(node: ir.Node, opset: int) -> None:
    """Split<num_outputs>(x) -> Split(x), whose parts are equal, where that is possible."""
    parts = node.attributes.pop("num_outputs", None)
    if parts is None or (len(node.inputs) > 1 and node.inputs[1] is not None):
        return
    axis, value = node.attributes.get_int("axis", 0), node.inputs[0]
    length = value.shape[axis] if value is not None and value.shape is not None else None
    if not isinstance(length, int) or length % parts.as_int():
        raise _build_error(node, OLDEST_WRITTEN, opset)


def _is_default(node: ir.Node, name: str, schema: onnx.defs.OpSchema) -> bool:
    """True where the attribute has its default value."""
    default = schema.attributes[name].default_value if name in schema.attributes else None
    if default is None or not default.name:
        return False
    value = onnx.helper.get_attribute_value(default)
    own = node.attributes[name].value
    return bool(np.array_equal(value.decode() if isinstance(value, bytes) else value, own))


def _build_error(node: ir.Node, since: int, opset: int) -> ExportError:
    return ExportError(
        f"`{node.op_type}` at `{node.name}` needs opset {since}, and opset {opset} was asked for",
        hint=f"--opset {since}, or newer",
    )
