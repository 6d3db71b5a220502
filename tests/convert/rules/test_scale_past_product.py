import pytest

from convert.rules.scale_past_product import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    make_samples,
    write_constant,
    write_graph,
)

WEIGHTS, SCALE = write_constant("w", 4, 4, 1, 1), write_constant("s", 4, 1, 1)


@pytest.mark.parametrize("scale", ["m = Mul(t, s)", "m = Div(t, s)"])
@pytest.mark.parametrize("product", ["p = Mul(m, x)", "p = Mul(x, m)"])
def test_the_scale_leaves_the_product_for_the_layer_after_it(scale: str, product: str) -> None:
    text = write_graph(f"t = Tanh(x) {scale} {product} y = Conv(p, w)", WEIGHTS, SCALE)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Tanh", "Mul", "Mul", "Conv"]
    assert optimised.model.graph[2].inputs[1] is not None
    assert optimised.model.graph[2].inputs[1].const_value is not None
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=5e-6)


def test_the_scale_leaves_the_product_for_a_sum_of_scaled_terms() -> None:
    text = write_graph(
        "t = Tanh(x) m = Mul(t, s) p = Mul(m, x) e = Elu(x) n = Mul(e, s) q = Add(p, n) y = Conv(q, w)",
        *(WEIGHTS, SCALE),
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Tanh", "Mul", "Mul", "Elu", "Mul", "Add", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=5e-6)


@pytest.mark.parametrize(
    "body",
    [
        "t = Tanh(x) m = Mul(t, s) p = Mul(m, x) y = Exp(p)",
        "t = Tanh(x) m = Mul(t, s) p = Mul(m, m) y = Conv(p, w)",
        "t = Tanh(x) m = Mul(t, s) p = Mul(m, x) q = Add(p, m) y = Conv(q, w)",
        "t = Tanh(x) m = Mul(t, s) p = Mul(m, x) q = Add(p, x) y = Conv(q, w)",
    ],
)
def test_it_stays_where_nothing_takes_it(body: str) -> None:
    assert not apply_rule(RULE, write_graph(body, WEIGHTS, SCALE)).firings
