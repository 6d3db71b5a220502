"""x · 1, x / 1, x + 0, x − 0 -> x.

Exact: these are the identity on every number (−0 + 0 becomes −0, which compares equal). The exporter leaves
them where a learned value stands at 1 or 0 per channel, as every activation does that was never trained.
Declined where x and the result are names that the graph gives or takes.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift
from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    scaled, shifted = match_scale(node), match_shift(node)
    if scaled is not None and (scaled[1] == 1).all():
        value = scaled[0]
    elif shifted is not None and (shifted[1] == 0).all():
        value = shifted[0]
    else:
        return None
    if node.outputs[0].is_graph_output() and (value.producer() is None or value.is_graph_output()):
        return Declined("an output of the graph cannot be another name for one of its inputs or outputs")
    Edit(node).replace(value)
    return FIRED


RULE = Rule("neutral_to_nothing", ("Mul", "Div", "Add", "Sub"), _rewrite, is_exact=True)
