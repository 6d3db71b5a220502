"""Scaled dot-product attention, exact for queries whose mask lets no key through.

torch gives 0 for such a query, under a truth mask as under one of -inf. Its softmax has no meaning there, and
torch's own translation gives the mean of all values, or NaN.
"""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.onnx_opset import opset18, opset23

op: Any = opset18  # it takes more than its annotations say


def attend(  # noqa: PLR0913, PLR0917  # torch's signature
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """[..., L, E], [..., S, E], [..., S, V] -> [..., L, V]; an inference, which drops nothing."""
    if enable_gqa:
        key, value = _repeat_heads(key, query), _repeat_heads(value, query)
    # Both are scaled before they are multiplied, as torch does it, so that half precision does not overflow.
    size = _make_scale(query, scale)
    scaled = op.Mul(query, op.Neg(size) if scale is not None and scale < 0 else size)
    scores = op.MatMul(scaled, op.Mul(_transpose(key, len(query.shape)), size))
    if is_causal:
        scores = op.Add(scores, _make_causal_bias(query, key))
    elif attn_mask is not None:
        scores = op.Add(scores, _make_bias(attn_mask, query.dtype))
    result = op.MatMul(op.Softmax(scores, axis=-1), value)
    return result if attn_mask is None else _clear_masked(result, attn_mask, query.dtype)


def attend_by_operator(  # noqa: PLR0913, PLR0917  # torch's signature
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """The same by the operator of opset 23, where it takes these axes and this scale."""
    axes = {len(part.shape) for part in (query, key, value)}
    if axes != {4} or (scale is not None and scale <= 0):
        return attend(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    result, *_ = opset23.Attention(
        query, key, value, attn_mask=attn_mask, scale=scale, is_causal=int(is_causal)
    )
    return result if attn_mask is None else _clear_masked(result, attn_mask, query.dtype)


def _make_constant(number: Any, dtype: ir.DataType) -> Any:
    return op.Constant(value=ir.tensor(np.asarray(number, dtype.numpy())))


def _make_scale(query: Any, scale: float | None) -> Any:
    """The square root of the scale's size, which is 1 / √E unless it is given."""
    if scale is not None:
        return _make_constant(abs(scale) ** 0.5, query.dtype)
    size = query.shape[-1]
    if isinstance(size, int):
        return _make_constant(size**-0.25, query.dtype)
    return op.Pow(op.CastLike(op.Shape(query, start=-1), query), _make_constant(-0.25, query.dtype))


def _transpose(key: Any, rank: int) -> Any:
    axes = range(rank)
    return op.Transpose(key, perm=[*axes[:-2], axes[-1], axes[-2]])


def _repeat_heads(part: Any, query: Any) -> Any:
    """[B, G, S, E] -> [B, H, S, E]: each of the G heads once for each of the H / G queries that share it."""
    heads, groups = op.Shape(query, start=-3, end=-2), op.Shape(part, start=-3, end=-2)
    if query.shape[-3] == part.shape[-3]:
        return part
    before, after = op.Shape(part, end=-3), op.Shape(part, start=-2)
    several = op.Concat(before, groups, op.Div(heads, groups), after, axis=0)
    wide = op.Expand(op.Unsqueeze(part, op.Constant(value_ints=[-3])), several)
    return op.Reshape(wide, op.Concat(before, heads, after, axis=0))


def _make_causal_bias(query: Any, key: Any) -> Any:
    """[L, S]: 0 where the key is not after the query, else the lowest number."""
    sizes = op.Concat(op.Shape(query, start=-2, end=-1), op.Shape(key, start=-2, end=-1), axis=0)
    lowest = op.Expand(_make_constant(query.dtype.min, query.dtype), sizes)
    return op.Trilu(lowest, op.Constant(value_int=1), upper=1)


def _make_bias(mask: Any, dtype: ir.DataType) -> Any:
    """The mask as numbers to add: for a truth mask 0, or the lowest number where nothing is let through."""
    if mask.dtype != ir.DataType.BOOL:
        return mask
    return op.Where(mask, _make_constant(0.0, dtype), _make_constant(dtype.min, dtype))


def _clear_masked(result: Any, mask: Any, dtype: ir.DataType) -> Any:
    """The result, and 0 for the queries whose mask lets no key through."""
    is_truth = mask.dtype == ir.DataType.BOOL
    numbers = op.Cast(mask, to=dtype) if is_truth else mask
    largest = op.ReduceMax(numbers, op.Constant(value_ints=[-1]), keepdims=True)
    is_seeing = op.Greater(largest, _make_constant(0.0 if is_truth else -np.inf, dtype))
    return op.Where(is_seeing, result, _make_constant(0.0, dtype))
