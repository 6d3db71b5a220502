"""MatMul(x, W) before a BatchNormalization -> Gemm(x, W), on rows, with a constant matrix.

Exact: the same products and sums. A Gemm has a bias that the normalisation can go into; torch's older
exporter writes a linear layer without one as a MatMul. Declined where x is not known to be rows.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_constant, get_only_consumer, get_rank
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value, matrix = node.inputs
    numbers, reader = get_constant(matrix), get_only_consumer(node.outputs[0])
    if value is None or matrix is None or numbers is None or reader is None:
        return None
    if reader.op_type != "BatchNormalization" or reader.domain or numbers.dtype.kind != "f":
        return None
    if get_rank(value) != 2 or numbers.ndim != 2:
        return Declined("the input is not known to be rows")
    edit = Edit(node)
    edit.replace(edit.op("Gemm", value, matrix))
    return FIRED


RULE = Rule("matmul_to_gemm", ("MatMul",), _rewrite)
