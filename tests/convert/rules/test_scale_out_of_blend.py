import pytest

from convert.rules.scale_out_of_blend import RULE
from tests.convert.graphs import (
    HALVED,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

WEIGHTS = write_constant("w", 4, 4, 1, 1)
A, B = write_constant("a", 4, 1, 1), write_constant("b", 4, 1, 1)
BLEND = "t = Tanh(x) g = Sigmoid(x) m = Mul(t, a) n = Mul(g, b) z = Add(m, n)"


@pytest.mark.parametrize(
    ("after", "output"),
    [
        ("y = Conv(z, w)", "float[N,4,6,6]"),
        ("p = AveragePool<kernel_shape = [2,2], strides = [2,2]>(z) y = Conv(p, w)", HALVED),
        ("y = Mul(z, b)", "float[N,4,6,6]"),
    ],
)
def test_one_scale_goes_on_to_what_reads_the_sum(after: str, output: str) -> None:
    text = write_graph(f"{BLEND} {after}", A, B, WEIGHTS, y=output)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised)[:5] == ["Tanh", "Sigmoid", "Mul", "Add", "Mul"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=5e-6)


def test_branches_of_the_same_scale_are_scaled_once() -> None:
    text = write_graph("t = Tanh(x) m = Mul(t, a) n = Mul(x, a) z = Add(m, n) y = Exp(z)", A)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Tanh", "Add", "Mul", "Exp"]
    assert_same_values(optimised, text, make_samples().clip(-5, 5))


def test_a_constant_in_the_sum_is_scaled_too() -> None:
    text = write_graph(f"{BLEND} v = Add(z, a) y = Conv(v, w)", A, B, WEIGHTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Tanh", "Sigmoid", "Mul", "Add", "Add", "Mul", "Conv"]
    assert_same_values(optimised, text, tolerance=5e-6)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("t = Tanh(x) m = Mul(t, a) z = Add(m, b) y = Conv(z, w)", ["Tanh", "Add", "Mul", "Conv"]),
        (
            "t = Tanh(x) m = Mul(t, a) z = Add(m, b) p = Mul(x, z) y = Conv(p, w)",
            ["Tanh", "Add", "Mul", "Mul", "Conv"],
        ),
        (
            "t = Tanh(x) m = Mul(t, a) z = Add(m, b) p = Mul(x, z) e = Elu(x) n = Mul(e, b) s = Add(p, n) "
            "y = Conv(s, w)",
            ["Tanh", "Add", "Mul", "Mul", "Elu", "Mul", "Add", "Conv"],
        ),
    ],
)
def test_one_term_and_a_constant_are_scaled_together(body: str, expected: list[str]) -> None:
    text = write_graph(body, A, B, WEIGHTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        "t = Tanh(x) m = Mul(t, a) z = Add(m, b) y = Exp(z)",
        "t = Tanh(x) m = Mul(t, a) z = Add(m, b) p = Mul(x, z) y = Exp(p)",
        "t = Tanh(x) m = Mul(t, a) z = Add(m, b) p = Mul(x, z) s = Add(p, x) y = Conv(s, w)",
        "t = Tanh(x) m = Mul(t, a) z = Add(m, x) y = Conv(z, w)",  # a term without a scale
        f"{BLEND} y = Exp(z)",  # nothing takes the scale
        f"{BLEND} v = Exp(w) y = Conv(z, v)",
    ],
)
def test_it_leaves_a_sum_that_would_gain_nothing(body: str) -> None:
    assert not apply_rule(RULE, write_graph(body, A, B, WEIGHTS)).firings


def test_it_declines_scales_of_which_none_divides_the_others() -> None:
    gone = [
        write_constant(name, 4, 1, 1, values=f"{{{values}}}")
        for name, values in (("a", "0,1,1,1"), ("b", "1,0,1,1"))
    ]
    assert list_reasons(apply_rule(RULE, write_graph(f"{BLEND} y = Conv(z, w)", *gone, WEIGHTS))) == [
        "no scale divides the others"
    ]
