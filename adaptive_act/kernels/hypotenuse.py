"""The length of a vector of two parts."""

import torch
from torch import Tensor


def hypotenuse(x: Tensor, side: Tensor) -> Tensor:
    """√(x² + side²), finite where x² overflows; side is above 0, where the gradient needs it.

    ONNX has no such operator: a graph that is being exported gets the squares.
    """
    if torch.compiler.is_exporting():
        return (x * x + side * side).sqrt()
    return torch.hypot(x, side)
