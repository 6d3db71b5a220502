import pytest

from convert.rules.log_to_softplus import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons, samples

ONE = constant("one", values="{1}")


@pytest.mark.parametrize("total", ["Add(e, one)", "Add(one, e)"])
def test_the_textbook_form_is_softplus(total: str) -> None:
    text = graph(f"e = Exp(x) t = {total} y = Log(t)", ONE)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Softplus"]
    assert_same_values(optimised, text, samples().clip(-80, 80))


@pytest.mark.parametrize(
    "body",
    [
        "b = Abs(x) n = Neg(b) e = Exp(n) t = Add(e, one) y = Log(t)",  # cannot overflow as it is
        "e = Exp(x) t = Add(e, x) y = Log(t)",
        "e = Abs(x) t = Add(e, one) y = Log(t)",
    ],
)
def test_other_logarithms_stay(body: str) -> None:
    assert operators(applied(RULE, graph(body, ONE)))[-1] == "Log"


def test_it_declines_an_addend_that_widens() -> None:
    text = graph(
        "e = Exp(x) t = Add(e, one) y = Log(t)",
        constant("one", 2, 1, 1, 1, 1, values="{1, 1}"),
        y="float[2,N,4,6,6]",
    )
    assert reasons(applied(RULE, text)) == ["the addend may widen the shape of what it meets"]
