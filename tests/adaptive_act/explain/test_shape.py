"""Facts of curves whose shape is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from adaptive_act import NEAAF, PELU, Affine, PReLU, ScaledGELU, Snake, Swish
from adaptive_act.explain.reach import Reach, reach
from adaptive_act.explain.shape import FAR, measure_displacement, measure_shape


def reached(*values: float) -> Reach:
    return reach(nn.Sequential(PReLU()), [torch.tensor(values)])["0"]


PATTERNS = [
    (PReLU(a=0.0), "blocked", "line"),
    (PReLU(a=-0.5), "line", "line"),
    (PELU(), "level", "line"),
    (Swish(), "level", "bent"),
    (Affine(base="Tanh"), "level", "level"),
    (NEAAF(beta=0.3), "blocked", "bent"),
    (Snake(), "bent", "bent"),
]


@pytest.mark.parametrize(("activation", "left", "right"), PATTERNS, ids=lambda value: str(value)[:20])
def test_each_side_has_its_pattern(activation: PReLU, left: str, right: str) -> None:
    shape = measure_shape(activation.curve, None)
    assert shape.left is not None
    assert shape.right is not None
    assert (shape.left.patterns, shape.right.patterns) == ((left,), (right,))


SLOPES = [
    (PReLU(a=0.08), 0.08, 1.0),
    (PELU(a=2.0, b=4.0), 0.5, 0.5),
    (Swish(beta=3.0), 0.5, 0.5),
    (Snake(), 1.0, 1.0),
    (Affine(base="Softplus", gamma=1.0), 0.7310586, 0.7310586),  # sigmoid(1); the value there is not 0
]


@pytest.mark.parametrize(("activation", "below", "above"), SLOPES, ids=lambda value: str(value)[:20])
def test_the_slopes_beside_zero_are_the_derivatives(activation: PReLU, below: float, above: float) -> None:
    slopes = measure_shape(activation.curve, None).slopes
    assert [slope.item() for slope in slopes] == pytest.approx([below, above], abs=1e-6)


def test_the_dip_of_gelu_is_found_where_it_is() -> None:
    left = measure_shape(ScaledGELU().curve, None).left
    assert left is not None
    assert left.lowest[0] == pytest.approx(-0.16997, abs=1e-4)
    assert left.lowest_at[0] == pytest.approx(-0.7518, abs=0.02)
    assert left.far == -FAR


@pytest.mark.parametrize(
    ("activation", "rising"), [(PReLU(a=0.1), True), (PReLU(a=-0.1), False), (Swish(), False)]
)
def test_it_knows_whether_the_curve_falls(activation: PReLU, rising: bool) -> None:
    assert measure_shape(activation.curve, None).rising.tolist() == [rising]


def test_only_what_the_data_reach_is_looked_at() -> None:
    shape = measure_shape(NEAAF(beta=3.0).curve, reached(0.0, 0.05, 0.1))
    assert shape.left is None
    assert shape.right is not None
    assert shape.right.far == pytest.approx(0.1)
    assert shape.right.patterns == ("line",)  # 0.3 x³ is 0.0003 there


def test_each_channel_has_its_own_facts() -> None:
    shape = measure_shape(PReLU(3, a=[0.0, 0.5, -0.5]).curve, None)
    assert shape.left is not None
    assert shape.left.patterns == ("blocked", "line", "line")
    np.testing.assert_allclose(shape.left.slope, [0, 0.5, -0.5], atol=1e-9)
    assert shape.rising.tolist() == [True, True, False]


def test_displacement_weighs_inputs_by_frequency() -> None:
    change = measure_displacement(PReLU(a=0.5).curve, PReLU(a=0.0).curve, reached(-2.0, -2.0, -1.0, 3.0))
    assert change.mean == pytest.approx((1.0 + 1.0 + 0.5 + 0) / 4, rel=0.03)
    assert change.share == pytest.approx(2.5 / 3, rel=0.03)
    assert change.most == pytest.approx(1.0, rel=0.03)
    assert change.at == pytest.approx(-2, rel=0.03)


def test_the_distance_without_data_is_over_an_even_range() -> None:
    change = measure_displacement(PReLU(2, a=[1.0, 0.0]).curve, PReLU(a=0.0).curve, None)
    assert change.mean == pytest.approx(
        0.5, rel=0.01
    )  # half of the channels, half of the range, 2 on average
    assert change.most == 4


def test_a_start_that_gives_nothing_has_no_share() -> None:
    assert measure_displacement(PReLU().curve, Affine(base="Tanh", alpha=0.0).curve, None).share is None


def test_nothing_is_lost_to_infinity() -> None:
    shape = measure_shape(PELU(a=math.exp(3), b=0.01).curve, None)
    assert np.isfinite(shape.slopes).all()
