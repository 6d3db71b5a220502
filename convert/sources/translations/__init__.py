"""Translations of torch's operators to ONNX, in the place of torch's own where those are not exact."""

from collections.abc import Callable
from typing import Any

import torch

from convert.sources.translations.attention import attend, attend_by_operator
from convert.sources.translations.curves import average, take_log_of_sigmoid
from convert.sources.translations.division import (
    divide,
    divide_down,
    find_remainder,
    find_remainder_by_number,
    find_remainder_of_number,
)
from convert.sources.translations.order import sort_stably, take_top
from convert.sources.translations.products import multiply, multiply_along

FIRST_WITH_ATTENTION = 23
"""The first opset with an operator for attention."""
_aten = torch.ops.aten
_TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    _aten.log_sigmoid.default: take_log_of_sigmoid,
    _aten.mean.dim: average,
    _aten.prod.default: multiply,
    _aten.prod.dim_int: multiply_along,
    _aten.topk.default: take_top,
    _aten.sort.stable: sort_stably,
    _aten.div.Tensor_mode: divide,
    _aten.div.Scalar_mode: divide,
    _aten.floor_divide.default: divide_down,
    _aten.remainder.Tensor: find_remainder,
    _aten.remainder.Scalar: find_remainder_by_number,
    _aten.remainder.Scalar_Tensor: find_remainder_of_number,
}


def list_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """The translation of each operator, for `torch.onnx.export`."""
    attention = attend_by_operator if opset >= FIRST_WITH_ATTENTION else attend
    return {**_TRANSLATIONS, _aten.scaled_dot_product_attention.default: attention}
