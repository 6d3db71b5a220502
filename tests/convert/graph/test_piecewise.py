from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.graph.piecewise import IDENTITY, Piecewise

X = np.linspace(-9, 9, 721)
NUMBERS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0])
Computed = tuple[Piecewise, np.ndarray]


def values(f: Piecewise) -> np.ndarray:
    """f at X, by its lines."""
    lines = np.searchsorted(f.knots, X)
    return f.slopes[lines] * X + f.offsets[lines]


STEPS: dict[str, Callable[[Computed, float], Computed]] = {
    "scaled": lambda one, n: (one[0].scaled(n), one[1] * n),
    "shifted": lambda one, n: (one[0].shifted(n), one[1] + n),
    "rectified": lambda one, n: (one[0].rectified(), np.maximum(one[1], 0)),
    "plus": lambda one, n: (one[0].plus(IDENTITY.scaled(n)), one[1] + n * X),
}


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), NUMBERS), max_size=10))
def test_it_computes_what_was_done(steps: list[tuple[str, float]]) -> None:
    one: Computed = (IDENTITY, X)
    for name, number in steps:
        one = STEPS[name](one, number)
    np.testing.assert_allclose(values(one[0]), one[1], rtol=1e-12, atol=1e-9 * (1 + np.abs(one[1]).max()))
    assert (np.diff(one[0].knots) > 0).all()


@pytest.mark.parametrize("knot", [-1.5, 0.0, 2.0])
def test_what_cancels_has_no_knots(knot: float) -> None:
    hinge = IDENTITY.shifted(-knot).rectified()
    assert list(hinge.knots) == [knot]
    assert not hinge.plus(hinge.scaled(-1)).knots.size
