"""Outliers of a normalised input moved into the weights of the linear layers that read it.

A few channels behind a LayerNormalization can be far larger than the others, and the range that they need
makes the steps of all others coarse. Dividing each channel by a factor and multiplying the weights that read
it by the same changes no result; the division goes into the normalisation's own scale and bias, so that it
costs nothing (G. Xiao and others, SmoothQuant, 2023). How much is moved is chosen for each normalisation by
the error that rounding leaves in the layers' results, and nothing is where that is not less.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import get_attribute, get_constant, get_rank
from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from convert.precision.distributions import Distribution, measure_rows
from convert.precision.ranges import STEPS, choose_range
from convert.precision.shifts import LARGEST_WEIGHT
from convert.precision.sites import is_linear

SHARES = (0.25, 0.5, 0.75)
"""The powers of a channel's largest input that are moved; the rest of the factor is of its weights."""
WORTH = 0.95
"""Less than this share of the error has to be left, or else nothing is moved."""
_SMALLEST = 1e-5


@dataclass(frozen=True, slots=True)
class _Normalisation:
    """A normalisation that linear layers alone read."""

    node: ir.Node
    scale: Array
    bias: Array | None
    layers: tuple[ir.Node, ...]


def smooth(model: ir.Model, sets: Sequence[SampleSet]) -> tuple[ir.Model, tuple[str, ...]]:
    """The graph with outliers moved, and the names of the normalisations that it has changed.

    The graph's results differ by rounding alone; the argument is left as it is.
    """
    smoothed = model.clone()
    places = list(_find_normalisations(smoothed))
    if not places or not sets:
        return model, ()
    names = [place.node.outputs[0].name or "" for place in places]
    rows = measure_rows(model, names, sets[0])
    changed = []
    for place, name in zip(places, names, strict=True):
        factors = choose_factors(rows[name], [_read_weights(layer) for layer in place.layers])
        if factors is not None:
            _apply(smoothed.graph, place, factors)
            changed.append(place.node.name or name)
    return (smoothed if changed else model), tuple(changed)


def choose_factors(rows: Array, weights: Sequence[Array]) -> Array | None:
    """What each channel is divided by, [channels]; None where nothing leaves clearly less error.

    `rows` are [samples, channels], each of `weights` [channels, outputs].
    """
    if not rows.size or not all(np.isfinite(array).all() for array in (rows, *weights)):
        return None
    numbers = rows.astype(np.float64)
    reach = np.abs(numbers).max(axis=0)
    weight = np.max([np.abs(array).max(axis=1) for array in weights], axis=0).astype(np.float64)
    usable = (reach > _SMALLEST * reach.max()) & (weight > _SMALLEST * weight.max())
    if not usable.any():
        return None
    unchanged = _measure_error(numbers, weights, np.ones_like(reach))
    best, least = None, WORTH * unchanged
    for share in SHARES:
        factors = np.ones_like(reach)
        factors[usable] = reach[usable] ** share / weight[usable] ** (1 - share)
        factors[usable] /= np.exp(np.log(factors[usable]).mean())  # the channels' size stays what it was
        error = _measure_error(numbers, weights, factors)
        if error < least:
            best, least = factors, error
    return best


def _measure_error(rows: Array, weights: Sequence[Array], factors: Array) -> float:
    """The squared error of all results with both sides rounded, as shares of the exact results'."""
    divided = rows / factors
    inputs = _round_inputs(divided)
    error = 0.0
    for exact in weights:
        results = rows @ exact
        lost = inputs @ _round_weights(exact * factors[:, None]) - results
        error += float((lost**2).sum() / max((results**2).sum(), np.finfo(np.float64).tiny))
    return error


def _round_inputs(rows: Array) -> Array:
    numbers = rows.reshape(-1)
    low, high = choose_range(Distribution(float(numbers.min()), float(numbers.max()), numbers, numbers.size))
    step = (high - low) / STEPS or 1.0
    zero = np.rint(-low / step)
    whole = np.clip(np.rint(rows / step) + zero, 0, STEPS)
    rounded: Array = (whole - zero) * step
    return rounded


def _round_weights(weights: Array) -> Array:
    """[channels, outputs] with one scale for each output."""
    scale = np.abs(weights).max(axis=0) / LARGEST_WEIGHT
    scale[scale == 0] = 1
    rounded: Array = np.rint(weights / scale) * scale
    return rounded


def _find_normalisations(model: ir.Model) -> Iterator[_Normalisation]:
    for node in model.graph:
        if node.op_type != "LayerNormalization" or node.domain or len(node.inputs) < 2:
            continue
        value = node.outputs[0]
        scale, bias = get_constant(node.inputs[1]), None
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            bias = get_constant(node.inputs[2])
            if bias is None:
                continue
        layers = [use.node for use in value.uses() if use.idx == 0]
        others = len(list(value.uses())) != len(layers) or value.is_graph_output()
        last = get_attribute(node, "axis", -1) in (-1, (get_rank(value) or 0) - 1)
        if scale is None or scale.ndim != 1 or not last or others or not layers:
            continue
        if all(_is_plain_product(layer, len(scale)) for layer in layers):
            yield _Normalisation(node, scale, bias, tuple(layers))


def _is_plain_product(layer: ir.Node, channels: int) -> bool:
    """Whether it multiplies rows of so many channels by constant weights."""
    if layer.op_type not in ("MatMul", "Gemm") or not is_linear(layer):
        return False
    turned = layer.op_type == "Gemm" and get_attribute(layer, "transA", 0) != 0
    weights = get_constant(layer.inputs[1])
    return not turned and weights is not None and weights.ndim == 2 and len(_read_weights(layer)) == channels


def _read_weights(layer: ir.Node) -> Array:
    """[channels, outputs]."""
    weights = get_constant(layer.inputs[1])
    assert weights is not None
    return weights.T if _is_transposed(layer) else weights


def _is_transposed(layer: ir.Node) -> bool:
    return layer.op_type == "Gemm" and get_attribute(layer, "transB", 0) != 0


def _apply(graph: ir.Graph, place: _Normalisation, factors: Array) -> None:
    """The normalisation divides by the factors, and the layers multiply by them."""
    node = place.node
    _replace_constant(graph, node, 1, place.scale / factors)
    if place.bias is not None:
        _replace_constant(graph, node, 2, place.bias / factors)
    for layer in place.layers:
        weights = _read_weights(layer) * factors[:, None]
        _replace_constant(graph, layer, 1, weights.T if _is_transposed(layer) else weights)


def _replace_constant(graph: ir.Graph, node: ir.Node, place: int, numbers: Array) -> None:
    before = node.inputs[place]
    assert before is not None
    tensor = ir.tensor(np.ascontiguousarray(numbers, np.float32))
    name = f"{node.name}.smoothed_{place}"
    value = ir.Value(
        name=name, shape=ir.Shape(list(numbers.shape)), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    node.replace_input_with(place, value)
    if not list(before.uses()):
        graph.initializers.pop(before.name or "", None)
