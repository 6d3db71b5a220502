"""Functions whose two passes are written out, for shared parameters on the CPU.

Each has the value and the gradients of the expression in its docstring but for rounding. For other parameters
and in graphs it is that expression in torch's operators.
"""

from adaptive_act.fused.blend import blend
from adaptive_act.fused.cubic import cubic_right, scaled_cube
from adaptive_act.fused.polynomial import polynomial, rational

__all__ = ["blend", "cubic_right", "polynomial", "rational", "scaled_cube"]
