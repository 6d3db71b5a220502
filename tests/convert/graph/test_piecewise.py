from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.graph.piecewise import IDENTITY, Piecewise

X = np.linspace(-9, 9, 721)
NUMBERS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0])
Computed = tuple[Piecewise, np.ndarray]


def evaluate(f: Piecewise) -> np.ndarray:
    """f at X, by its lines."""
    lines = np.searchsorted(f.knots, X)
    return f.slopes[lines] * X + f.offsets[lines]


STEPS: dict[str, Callable[[Computed, float], Computed]] = {
    "scale": lambda f, n: (f[0].scale(n), f[1] * n),
    "shift": lambda f, n: (f[0].shift(n), f[1] + n),
    "rectify": lambda f, n: (f[0].rectify(), np.maximum(f[1], 0)),
    "add": lambda f, n: (f[0].add(IDENTITY.scale(n)), f[1] + n * X),
}


@pytest.mark.slow
@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), NUMBERS), max_size=10))
def test_steps_compute_their_function(steps: list[tuple[str, float]]) -> None:
    computed: Computed = (IDENTITY, X)
    for name, number in steps:
        computed = STEPS[name](computed, number)
    f, expected = computed
    np.testing.assert_allclose(evaluate(f), expected, rtol=1e-12, atol=1e-9 * (1 + np.abs(expected).max()))
    assert (np.diff(f.knots) > 0).all()


@pytest.mark.parametrize("knot", [-1.5, 0.0, 2.0])
def test_terms_that_cancel_have_no_knots(knot: float) -> None:
    hinge = IDENTITY.shift(-knot).rectify()
    assert list(hinge.knots) == [knot]
    assert not hinge.add(hinge.scale(-1)).knots.size
