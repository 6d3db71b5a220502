"""Where(u > t, x, Softplus(u) · c) -> Softplus(u) · c, for t >= 20 and u = x / c.

The exporter writes torch's softplus with its threshold. Above it, softplus(u) − u = log(1 + e⁻ᵘ) < 2.1e-9,
a hundredth of a float32 unit in the last place of u >= 20, so both branches round to the same number.
Declined for a lower threshold.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.nodes import get_producer, get_scalar, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array


def _rewrite(node: ir.Node) -> Outcome:
    test, smooth = match_operator(node.inputs[0], "Greater"), get_producer(node.inputs[2])
    if test is None or smooth is None:
        return None
    straight, argument = node.inputs[1], test.inputs[0]
    threshold = get_scalar(test.inputs[1], beside=argument)
    scaled = match_scale(smooth)
    inner = scaled[0].producer() if scaled is not None else smooth
    if inner is None or inner.op_type != "Softplus" or inner.inputs[0] is not argument or threshold is None:
        return None
    if threshold < 20:
        return Declined(f"a threshold of {threshold:g} is too low for both branches to round alike")
    if not _is_same_line(straight, argument, np.ones(()) if scaled is None else scaled[1]):
        return Declined("the straight branch is not the line that Softplus tends to")
    if node.inputs[2] is None or node.inputs[2].is_graph_output():
        return Declined("the smooth branch is an output of its own")
    Edit(node).replace(node.inputs[2])
    return FIRED


def _is_same_line(straight: ir.Value | None, argument: ir.Value | None, factor: Array) -> bool:
    """True where argument · factor = straight: the line that Softplus(argument) · factor tends to."""
    if straight is argument:
        return bool((factor == 1).all())
    scaled = match_scale(get_producer(argument))
    if scaled is None or scaled[0] is not straight:
        return False
    return bool((np.abs(scaled[1] * factor - 1) < 1e-6).all())


RULE = Rule("softplus_threshold_to_softplus", ("Where",), _rewrite)
