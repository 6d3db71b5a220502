import pytest

from convert.rules.log_to_softplus import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    make_samples,
    write_constant,
    write_graph,
)

ONE = write_constant("one", values="{1}")


@pytest.mark.parametrize("total", ["Add(e, one)", "Add(one, e)"])
def test_the_textbook_form_is_softplus(total: str) -> None:
    text = write_graph(f"e = Exp(x) t = {total} y = Log(t)", ONE)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Softplus"]
    assert_same_values(optimised, text, make_samples().clip(-80, 80))


@pytest.mark.parametrize(
    "body",
    [
        "b = Abs(x) n = Neg(b) e = Exp(n) t = Add(e, one) y = Log(t)",  # cannot overflow as it is
        "e = Exp(x) t = Add(e, x) y = Log(t)",
        "e = Abs(x) t = Add(e, one) y = Log(t)",
    ],
)
def test_other_logarithms_stay(body: str) -> None:
    assert list_operators(apply_rule(RULE, write_graph(body, ONE)))[-1] == "Log"


def test_an_addend_that_widens_stays() -> None:
    text = write_graph(
        "e = Exp(x) t = Add(e, one) y = Log(t)",
        write_constant("one", 2, 1, 1, 1, 1, values="{1, 1}"),
        y="float[2,N,4,6,6]",
    )
    assert list_operators(apply_rule(RULE, text)) == ["Exp", "Add", "Log"]


FILLED = "s = Shape(x) z = Expand(c, s) e = Exp(x) f = Exp(z)"


@pytest.mark.parametrize("total", ["Add(e, f)", "Add(f, e)"])
def test_the_logarithm_of_an_added_exponential_is_softplus(total: str) -> None:
    text = write_graph(f"{FILLED} t = {total} y = Log(t)", write_constant("c", values="{0}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Softplus"]
    assert_same_values(optimised, text, make_samples().clip(-80, 80))


def test_beside_another_exponential_the_logarithm_stays() -> None:
    text = write_graph(f"{FILLED} t = Add(e, f) y = Log(t)", write_constant("c", values="{1}"))
    assert list_operators(apply_rule(RULE, text))[-1] == "Log"
