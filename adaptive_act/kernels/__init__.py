"""Elementwise steps whose backward pass torch does slowly on the CPU, with a fast one.

Each has the value and the gradient of the plain expression in its docstring. A graph that is being compiled,
traced or exported, and torch's function transforms, get that expression itself.
"""

from adaptive_act.kernels.clip import clip
from adaptive_act.kernels.cubic import cube, cubic_right
from adaptive_act.kernels.elu import elu_below
from adaptive_act.kernels.hinges import hinges
from adaptive_act.kernels.hypotenuse import hypotenuse
from adaptive_act.kernels.slopes import negative_part, two_lines, two_slopes

__all__ = [
    "clip",
    "cube",
    "cubic_right",
    "elu_below",
    "hinges",
    "hypotenuse",
    "negative_part",
    "two_lines",
    "two_slopes",
]
