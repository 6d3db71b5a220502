import pytest

from convert.rules.relu_and_line_to_leakyrelu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS = write_constant("w", 4, 4, 3, 3)


@pytest.mark.parametrize("a", [0.75, -0.75, 2.0, -2.0, 0.0])
@pytest.mark.parametrize("b", [0.25, -0.25, 2.0, -2.0, 0.0])
def test_two_slopes_are_one_leaky_relu(a: float, b: float) -> None:
    slopes = write_constant("a", values=f"{{{a}}}"), write_constant("b", values=f"{{{b}}}")
    body = f"c = {CONV}(x, w) r = Relu(c) m = Mul(r, a) k = Mul(c, b) n = Add(m, k) y = {CONV}(n, w)"
    text = write_graph(body, WEIGHTS, *slopes)
    optimised = apply_rule(RULE, text)
    assert "Relu" not in list_operators(optimised)
    assert list_operators(optimised)[:3] == ["Conv", "Conv", "LeakyRelu"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=1e-5)


def test_the_other_terms_of_the_sum_stay() -> None:
    body = f"c = {CONV}(x, w) r = Relu(c) t = Tanh(c) k = Add(r, t) n = Add(k, c) y = {CONV}(n, w)"
    text = write_graph(body, WEIGHTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "Tanh", "Conv", "LeakyRelu", "Add", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        f"r = Relu(x) n = Add(r, x) y = {CONV}(n, w)",  # not in the layout
        f"c = {CONV}(x, w) r = Relu(c) t = Tanh(c) n = Add(r, t) y = {CONV}(n, w)",
        f"c = {CONV}(x, w) d = {CONV}(x, w) r = Relu(c) n = Add(r, d) y = {CONV}(n, w)",
    ],
)
def test_other_sums_stay(body: str) -> None:
    assert not apply_rule(RULE, write_graph(body, WEIGHTS)).firings


@pytest.mark.parametrize(
    ("a", "reason"),
    [
        (write_constant("a", 4, 1, 1), "the slopes differ between channels"),
        (write_constant("a", values="{-0.9999}"), "one slope is much larger than the other"),
        (write_constant("a", values="{1e30}"), None),
    ],
)
def test_it_declines(a: str, reason: str | None) -> None:
    body = f"c = {CONV}(x, w) r = Relu(c) m = Mul(r, a) n = Add(m, c) y = {CONV}(n, w)"
    assert list_reasons(apply_rule(RULE, write_graph(body, WEIGHTS, a))) == ([reason] if reason else [])
