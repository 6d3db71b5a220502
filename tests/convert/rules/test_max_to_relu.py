import numpy as np
import pytest

from convert.rules.max_to_relu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    run_graph,
    write_constant,
    write_graph,
)

ZERO, WIDE = (
    write_constant("zero", values="{0}"),
    write_constant("wide", 5, 1, 1, 1, 1, values="{0, 0, 0, 0, 0}"),
)


@pytest.mark.parametrize(
    "body",
    [
        "y = Max(x, zero)",
        "y = Max(zero, x)",
    ],
)
def test_what_is_cut_off_at_zero_is_a_relu(body: str) -> None:
    text = write_graph(body, ZERO)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Relu"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize("test", ["Greater", "GreaterOrEqual"])
@pytest.mark.parametrize("product", ["Mul(x, f)", "Mul(f, x)"])
def test_what_a_mask_leaves_above_zero_is_a_relu(test: str, product: str) -> None:
    optimised = apply_rule(RULE, write_graph(f"m = {test}(x, zero) f = Cast<to = 1>(m) y = {product}", ZERO))
    assert list_operators(optimised) == ["Relu"]
    x = make_samples()
    np.testing.assert_array_equal(run_graph(optimised.model, {"x": x})["y"], np.maximum(x, 0))


@pytest.mark.parametrize(
    "body",
    [
        "y = Max(x, one)",
        "m = Less(x, zero) f = Cast<to = 1>(m) y = Mul(x, f)",
        "m = Greater(x, one) f = Cast<to = 1>(m) y = Mul(x, f)",
        "r = Abs(x) m = Greater(r, zero) f = Cast<to = 1>(m) y = Mul(x, f)",
    ],
)
def test_other_bounds_and_masks_stay(body: str) -> None:
    assert "Relu" not in list_operators(
        apply_rule(RULE, write_graph(body, ZERO, write_constant("one", values="{1}")))
    )


def test_it_declines_zeros_of_a_wider_shape() -> None:
    text = write_graph("y = Max(x, wide)", WIDE, y="float[5,N,4,6,6]")
    assert list_reasons(apply_rule(RULE, text)) == ["the zeros may widen the shape of what they meet"]
