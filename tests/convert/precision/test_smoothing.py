from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from convert.artefact.file import serialise
from convert.graph.nodes import get_constant
from convert.model_io.array import Array
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.precision.smoothing import choose_factors, smooth
from tests.convert.models import optimise_model
from tests.convert.precision.networks import as_own_samples, make_samples

TOKENS = parse_input("tokens:float32[N,5,16]")
NUMBERS = np.random.default_rng(0)


def _make_outliers(channels: int = 16) -> tuple[Array, Array]:
    """Rows of which one channel is 40 times the others, and weights that read it little."""
    rows, weights = NUMBERS.normal(size=(256, channels)), NUMBERS.normal(size=(channels, 8))
    rows[:, 3] *= 40
    weights[3] /= 40
    return rows.astype(np.float32), weights.astype(np.float32)


def _round(numbers: Array, axis: int | None) -> Array:
    """In 256 steps from the least to the largest number; by the axis, or all together."""
    low, high = (end(numbers, axis=axis, keepdims=True) for end in (np.min, np.max))
    step = (high - low) / 255
    rounded: Array = np.rint((numbers - low) / step) * step + low
    return rounded


def test_factors_leave_less_error() -> None:
    rows, weights = _make_outliers()
    factors = choose_factors(rows, [weights])
    assert factors is not None
    assert factors[3] > 5 * np.delete(factors, 3).max()
    errors = [
        ((_round(rows / each, None) @ _round(weights * each[:, None], 0) - rows @ weights) ** 2).mean()
        for each in (np.ones(16), factors)
    ]
    assert errors[1] < 0.2 * errors[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows * 0,
        lambda rows: rows[:0],
        lambda rows: np.where(rows > 3, np.nan, rows),
        lambda rows: rows / np.abs(rows).max(axis=0),
    ],
    ids=["zeros", "none", "nan", "even"],
)
def test_nothing_is_moved_where_it_does_not_pay(change: Callable[[Array], Array]) -> None:
    rows, _ = _make_outliers()
    assert choose_factors(change(rows), [np.sign(NUMBERS.normal(size=(16, 8)))]) is None


def test_channels_without_input_or_weights_are_left() -> None:
    rows, weights = _make_outliers()
    rows[:, 5], weights[7] = 0, 0
    factors = choose_factors(rows, [weights])
    assert factors is not None
    assert factors[5] == factors[7] == 1
    assert np.isfinite(factors).all()


class _Outliers(nn.Module):
    """Two layers behind one normalisation with an outlier, and one behind another that a sum reads too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.other = nn.LayerNorm(16), nn.LayerNorm(16)
        self.first, self.second, self.last = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(16, 8)
        with torch.no_grad():
            for norm in (self.norm, self.other):
                norm.weight[3] = 60
                norm.bias.normal_()
            for layer in (self.first, self.second, self.last):
                layer.weight[:, 3] /= 60

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 5, 16] -> [N, 5, 8]."""
        rows, other = self.norm(x), self.other(x)
        behind = self.first(rows).tanh() + self.second(rows)
        sums: torch.Tensor = behind + self.last(other) + other[..., :8]
        return sums


@pytest.mark.slow
def test_a_smoothed_graph_gives_the_same_results() -> None:
    graph = optimise_model(_Outliers().eval(), TOKENS).model
    before = serialise(graph)
    x = make_samples(TOKENS, 32)
    smoothed, changed = smooth(graph, as_own_samples(x))
    assert len(changed) == 1
    assert serialise(graph) == before
    expected, result = _run(graph, x), _run(smoothed, x)
    assert np.abs(result - expected).max() < 1e-5 * np.abs(expected).max()
    (scale,) = [node.inputs[1] for node in smoothed.graph if node.name in changed]
    numbers = get_constant(scale)
    assert numbers is not None
    assert numbers[3] < 20


def test_a_graph_without_normalisations_is_left() -> None:
    graph = optimise_model(nn.Linear(16, 4), TOKENS).model
    assert smooth(graph, as_own_samples(make_samples(TOKENS, 4))) == (graph, ())


def _run(graph: ir.Model, x: Array) -> Array:
    (result,) = Session(serialise(graph), [TOKENS.name]).run([x]).values()
    return result
