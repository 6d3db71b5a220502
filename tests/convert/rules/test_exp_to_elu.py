import pytest

from convert.rules.exp_to_elu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

ZERO, ONE = write_constant("zero", values="{0}"), write_constant("one", values="{1}")
DECAY = "u = Mul(x, b) e = Exp(u) l = Sub(e, one) m = Mul(l, a)"
WHERE = f"q = Greater(x, zero) r = Mul(x, p) {DECAY} y = Where(q, r, m)"
SUM = "r = Relu(x) n = Min(x, zero) u = Mul(n, b) e = Exp(u) l = Sub(e, one) m = Mul(a, l) y = Add(r, m)"
P, A, B = (
    write_constant("p", values="{2}"),
    write_constant("a", values="{0.75}"),
    write_constant("b", values="{1.5}"),
)


def test_pelu_of_textbooks_is_elu_and_two_scales() -> None:
    pelu = (
        write_constant("p", 4, 1, 1, values="{2, 0.5, 1, 3}"),
        write_constant("a", 4, 1, 1, values="{4, 0.25, 2, 2}"),
    )
    steepness = write_constant("b", 4, 1, 1, values="{0.5, 2, 0.5, 1.5}")
    text = write_graph(WHERE, ZERO, ONE, *pelu, steepness)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul", "Elu", "Mul"]
    assert optimised.model.graph[1].attributes["alpha"].value == 1
    assert_same_values(optimised, text, make_samples().clip(-20, 20))


@pytest.mark.parametrize("body", [WHERE, SUM])
def test_any_slope_depth_and_steepness_are_elu_of_another_depth(body: str) -> None:
    text = write_graph(body, ZERO, ONE, P, A, B)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul", "Elu", "Mul"]
    assert_same_values(optimised, text, make_samples().clip(-20, 20))


def test_the_elu_of_an_image_that_is_written_out_already_stays() -> None:
    text = write_graph(SUM, ZERO, ONE, P, A, write_constant("b", values="{1}"))
    assert not apply_rule(RULE, text).firings


SIGNS = "the slope is 0, or the steepness not above 0, in a channel"
DEPTHS = "the depth differs between channels in another way than the slope"


@pytest.mark.parametrize(
    ("p", "a", "b", "reason"),
    [
        (
            "{0, 1, 1, 1}",
            "{1, 1, 1, 1}",
            "{1, 1, 1, 1}",
            SIGNS,
        ),
        (
            "{1, 1, 1, 1}",
            "{1, 1, 1, 1}",
            "{-1, 1, 1, 1}",
            SIGNS,
        ),
        (
            "{1, 1, 1, 1}",
            "{2, 1, 1, 1}",
            "{1, 1, 1, 1}",
            DEPTHS,
        ),
    ],
)
def test_it_declines(p: str, a: str, b: str, reason: str) -> None:
    values = [write_constant(name, 4, 1, 1, values=text) for name, text in (("p", p), ("a", a), ("b", b))]
    assert list_reasons(apply_rule(RULE, write_graph(WHERE, ZERO, ONE, *values))) == [reason]


def test_another_decay_stays() -> None:
    text = write_graph(WHERE.replace("Sub(e, one)", "Sub(e, b)"), ZERO, ONE, P, A, B)
    assert list_operators(apply_rule(RULE, text))[-1] == "Where"
