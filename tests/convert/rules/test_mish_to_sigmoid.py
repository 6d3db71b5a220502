import numpy as np
import pytest

from convert.rules.mish_to_sigmoid import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    make_samples,
    run_graph,
    write_graph,
)


def test_mish_becomes_one_sigmoid_and_products() -> None:
    text = write_graph("y = Mish(x)")
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul"]
    assert_same_values(optimised, text, tolerance=1e-6)


def test_it_agrees_with_the_paper_and_does_not_overflow() -> None:
    x = np.concatenate(
        [np.linspace(-16, 16, 142, dtype=np.float32), np.array([1e30, 3e38], np.float32)]
    ).reshape(1, 4, 6, 6)
    y = run_graph(apply_rule(RULE, write_graph("y = Mish(x)")).model, {"x": x})["y"]
    wide = x.astype(np.float64)
    expected = wide * np.tanh(np.log1p(np.exp(np.minimum(wide, 700))))
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=1.2e-6)


def test_nan_stays_nan() -> None:
    x = make_samples()
    x[0, 0, 0, 0] = np.nan
    assert np.isnan(run_graph(apply_rule(RULE, write_graph("y = Mish(x)")).model, {"x": x})["y"][0, 0, 0, 0])


@pytest.mark.parametrize("product", ["Mul(x, t)", "Mul(t, x)"])
def test_mish_written_out_is_mish(product: str) -> None:
    text = write_graph(f"s = Softplus(x) t = Tanh(s) y = {product}")
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul"]
    assert_same_values(optimised, text, make_samples().clip(-80, 80))


def test_the_gate_alone_is_the_same_whatever_it_multiplies() -> None:
    text = write_graph("a = Abs(x) s = Softplus(x) t = Tanh(s) y = Mul(a, t)")
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Abs", "Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul"]
    assert_same_values(optimised, text, make_samples().clip(-80, 80))


def test_another_gate_stays() -> None:
    assert not apply_rule(RULE, write_graph("s = Sigmoid(x) t = Tanh(s) y = Mul(x, t)")).firings
