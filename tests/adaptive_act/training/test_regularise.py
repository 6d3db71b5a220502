"""The terms are what they say, and their gradients move learned shapes the right way."""

import math
from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import ABU, ACTIVATIONS, NEAAF, PELU, Activation, Learned, PReLU, Snake, Swish
from adaptive_act.training import CurvatureBound, Pull, SlopeBound
from adaptive_act.training.regularise import _differentiate

SMOOTH_ENOUGH = [kind for kind in ACTIVATIONS.values() if kind.elementwise]


def test_a_pull_is_the_squared_distance_from_the_start() -> None:
    slope, per_channel = PReLU(a=0.25), PELU(channels=2)
    model = nn.Sequential(slope, per_channel)
    pull = Pull(model, strength=0.5)
    assert pull().item() == 0
    with torch.no_grad():
        slope.get_parameter("a").add_(2.0)
        per_channel.get_parameter("log_a").copy_(torch.tensor([math.log(3), 0.0]))
    assert pull().item() == pytest.approx(0.5 * (4 + math.log(3) ** 2 / 2))


def test_a_pull_brings_the_parameters_home() -> None:
    model = nn.Sequential(Swish(), ABU())
    pull = Pull(model, strength=1.0)
    home = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        pull().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for parameter, start in zip(model.parameters(), home, strict=True):
        assert torch.allclose(parameter, start, atol=1e-5)


def test_without_activations_a_pull_is_zero() -> None:
    assert Pull(nn.Linear(1, 1), 1.0)().item() == 0


def test_the_slope_term_is_the_mean_squared_excess() -> None:
    """2x above zero and 3x below, so that |f′| is 1 and 2 above the limit on each half of the grid."""
    model = nn.Sequential(NEAAF(base="PReLU", alpha=2.0))
    with torch.no_grad():
        model.get_parameter("0.base.a").fill_(1.5)
    bound = SlopeBound(model, limit=1.0, strength=10.0, points=64)
    assert bound().item() == pytest.approx(10 * (1**2 + 2**2) / 2)
    assert SlopeBound(model, limit=3.0, strength=10.0)().item() == 0


def test_the_curvature_term_is_the_mean_squared_excess() -> None:
    """0.5 · x³ has the curvature 3x, which exceeds 6 by up to 6 on the outer halves of the grid."""
    model = nn.Sequential(NEAAF(side="both", gamma=0.5, alpha=0.0, beta=1.0))
    term = CurvatureBound(model, limit=6.0, strength=1.0, points=4001)().item()
    # Integral of (3x − 6)² from 2 to 4, twice, over the length 8.
    assert term == pytest.approx(2 * 24 / 8, rel=2e-3)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", SMOOTH_ENOUGH, ids=lambda kind: kind.__name__)
def test_derivatives_are_those_of_the_curve(kind: type[Activation], order: int) -> None:
    torch.manual_seed(0)
    activation = kind().double()
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.add_(0.1 * torch.rand_like(parameter))
    points = torch.linspace(-2.93, 2.89, 23, dtype=torch.float64)
    derivative = _differentiate(activation, points, order)
    step = 1e-4
    below, here, above = (activation.curve(points + shift)[0] for shift in (-step, 0, step))
    expected = (above - below) / (2 * step) if order == 1 else (above - 2 * here + below) / step**2
    kinked = (above - 2 * here + below).abs() / step > 1e-2
    assert kinked.sum() <= 4
    assert torch.allclose(derivative.reshape(-1)[~kinked], expected[~kinked], rtol=1e-4, atol=1e-5)
    if derivative.requires_grad:
        gradients = torch.autograd.grad(
            derivative.square().sum(), list(activation.parameters()), allow_unused=True
        )
        assert all(g is None or g.isfinite().all() for g in gradients)


@pytest.mark.parametrize(("channels", "axis"), [(None, 1), (3, 1), (3, -1), (3, 0), (3, 2), (3, -3), (3, -2)])
def test_each_channel_counts_wherever_it_lies(channels: int | None, axis: int) -> None:
    model = nn.Sequential(
        PReLU(channels=channels, channel_axis=axis, a=[3.0] if channels is None else [3.0, 0.0, 1.0])
    )
    expected = {None: 2.0**2 / 2, 3: 2.0**2 / 2 / 3}[channels]
    assert SlopeBound(model, limit=1.0, strength=1.0, points=64)().item() == pytest.approx(expected)


@pytest.mark.parametrize(("bound", "limit"), [(SlopeBound, 1.2), (CurvatureBound, 1.0)])
def test_training_on_the_term_bounds_the_shape(bound: type[SlopeBound], limit: float) -> None:
    model = nn.Sequential(NEAAF(gamma=0.1, beta=1.0), Swish(beta=3.0))
    term = bound(model, limit=limit, strength=1.0)
    before = term().item()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        term().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert before > 1e-3
    assert term().item() < 0.01 * before


def test_a_shared_activation_counts_once_unseen_by_hooks() -> None:
    shared = PReLU(a=3.0)
    seen: list[Tensor] = []
    shared.register_forward_hook(lambda _, __, output: seen.append(output))
    twice = SlopeBound(nn.Sequential(shared, shared), limit=1.0, strength=1.0)()
    assert twice.item() == SlopeBound(nn.Sequential(shared), limit=1.0, strength=1.0)().item()
    assert seen == []


class Multiplied(Activation):
    """ax by a matrix product, which autocast would round."""

    learned: ClassVar[Mapping[str, Learned]] = {"a": Learned(2.01)}
    onnx_ops = ()

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return (x.reshape(-1, 1) @ a.reshape(1, 1)).reshape(x.shape)


def test_the_terms_are_the_same_under_autocast() -> None:
    model = nn.Sequential(Snake(), Multiplied())
    bound = SlopeBound(model, limit=1.0, strength=1.0)
    outside = bound().item()
    with torch.autocast("cpu", torch.bfloat16):
        assert bound().item() == outside


def test_a_model_with_nothing_to_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="`SlopeBound` found no elementwise activation"):
        SlopeBound(nn.Linear(1, 1), limit=1.0, strength=1.0)
