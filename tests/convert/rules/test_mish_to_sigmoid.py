import numpy as np
import pytest

from convert.rules.mish_to_sigmoid import RULE
from tests.convert.graphs import applied, assert_same_values, graph, operators, run, samples


def test_mish_becomes_one_sigmoid_and_products() -> None:
    text = graph("y = Mish(x)")
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul"]
    assert_same_values(optimised, text, tolerance=1e-6)


def test_it_agrees_with_the_paper_and_does_not_overflow() -> None:
    x = np.concatenate(
        [np.linspace(-16, 16, 142, dtype=np.float32), np.array([1e30, 3e38], np.float32)]
    ).reshape(1, 4, 6, 6)
    y = run(applied(RULE, graph("y = Mish(x)")).model, {"x": x})["y"]
    wide = x.astype(np.float64)
    expected = wide * np.tanh(np.log1p(np.exp(np.minimum(wide, 700))))
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=1.2e-6)


def test_nan_stays_nan() -> None:
    x = samples()
    x[0, 0, 0, 0] = np.nan
    assert np.isnan(run(applied(RULE, graph("y = Mish(x)")).model, {"x": x})["y"][0, 0, 0, 0])


@pytest.mark.parametrize("product", ["Mul(x, t)", "Mul(t, x)"])
def test_mish_written_out_is_mish(product: str) -> None:
    text = graph(f"s = Softplus(x) t = Tanh(s) y = {product}")
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul"]
    assert_same_values(optimised, text, samples().clip(-80, 80))


def test_the_gate_alone_is_the_same_whatever_it_multiplies() -> None:
    text = graph("a = Abs(x) s = Softplus(x) t = Tanh(s) y = Mul(a, t)")
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Abs", "Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul"]
    assert_same_values(optimised, text, samples().clip(-80, 80))


def test_another_gate_stays() -> None:
    assert not applied(RULE, graph("s = Sigmoid(x) t = Tanh(s) y = Mul(x, t)")).firings
