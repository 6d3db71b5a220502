import pytest

from convert.rules.inner_scale_into_previous import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

CONV = "c = Conv(x, w, a)"
WEIGHTS = (write_constant("w", 4, 4, 1, 1), write_constant("a", 4), write_constant("zero", values="{0}"))
SCALE = write_constant("s", 4, 1, 1, values="{0.5, 2, 1.5, 0.75}")
FORMS = {
    "a sum": ("u = Mul(c, s) v = Sin(u) y = Add(c, v)", ["Conv", "Sin", "Mul", "Add"]),
    "a scaled sum": (
        "u = Mul(c, s) v = Tanh(u) m = Mul(c, s) y = Add(v, m)",
        ["Conv", "Tanh", "Mul", "Mul", "Add"],
    ),
    "a product": (
        "u = Mul(c, s) v = Sigmoid(u) m = Mul(c, v) y = Conv(m, w)",
        ["Conv", "Sigmoid", "Mul", "Mul", "Conv"],
    ),
    "a bound": (
        "r = Relu(c) n = Min(c, zero) u = Mul(n, s) v = Exp(u) y = Add(r, v)",
        ["Conv", "Mul", "Relu", "Min", "Exp", "Add"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_layer_takes_the_scale(form: str) -> None:
    body, expected = FORMS[form]
    text = write_graph(f"{CONV} {body}", *WEIGHTS, SCALE)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text, make_samples().clip(-3, 3), tolerance=2e-5)


@pytest.mark.parametrize(
    "body",
    [
        "u = Mul(x, s) v = Sin(u) y = Add(x, v)",  # no layer before it
        f"{CONV} u = Mul(c, s) v = Sin(u) e = Exp(c) y = Add(e, v)",  # the other place would need a product
        f"{CONV} u = Mul(c, s) v = Sin(u) r = Relu(c) m = Add(c, r) y = Add(m, v)",  # two other places
        f"{CONV} u = Mul(c, s) v = Relu(u) y = Add(c, v)",  # the scale passes on
    ],
)
def test_it_stays_where_it_would_gain_nothing(body: str) -> None:
    assert not apply_rule(RULE, write_graph(body, *WEIGHTS, SCALE)).firings


@pytest.mark.parametrize("form", ["a sum", "a bound"])
def test_it_declines_a_scale_of_zero(form: str) -> None:
    zero = write_constant("s", 4, 1, 1, values="{1, 0, 1, 1}")
    optimised = apply_rule(RULE, write_graph(f"{CONV} {FORMS[form][0]}", *WEIGHTS, zero))
    assert list_reasons(optimised) == ["the scale is 0, or below it before a bound, in a channel"]


def test_it_declines_weights_that_are_computed() -> None:
    body = f"v0 = Exp(w) c = Conv(x, v0, a) {FORMS['a sum'][0]}"
    assert list_reasons(apply_rule(RULE, write_graph(body, *WEIGHTS, SCALE))) == [
        "the weights of `Conv` are not constant"
    ]
