from collections.abc import Callable

import numpy as np
import pytest

from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.rewriting.optimise import optimise
from convert.rewriting.plan import FormPlan
from tests.convert.graphs import list_operators, parse_graph, write_graph

MAGNITUDES = np.logspace(-30, 1.9, 72)
X = np.concatenate([MAGNITUDES, -MAGNITUDES]).astype(np.float32).reshape(1, 4, 6, 6)
WITH_ONE = "one = Constant<value = float {1.0}>() "
FORMS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "elu_as_tanh": (
        "y = Elu<alpha = 0.7>(x)",
        lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
    ),
    "difference_as_tanh": (f"{WITH_ONE}e = Exp(x) y = Sub(e, one)", np.expm1),
    "log_as_ratio": (f"{WITH_ONE}a = Abs(x) u = Add(a, one) y = Log(u)", lambda x: np.log1p(np.abs(x))),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_right_for_small_and_large_numbers(form: str) -> None:
    text, function = FORMS[form]
    optimised = optimise(parse_graph(write_graph(text)), plan=FormPlan(keeps_small=True))
    assert optimised.count_firings()[form] == 1
    got = Session(serialise(optimised.model), ["x"]).run([X])["y"]
    np.testing.assert_allclose(got, function(X.astype(np.float64)), rtol=5e-7)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_keeps_infinity(form: str) -> None:
    """As of an intermediate result that overflows, and is divided by later."""
    text, function = FORMS[form]
    optimised = optimise(parse_graph(write_graph(text)), plan=FormPlan(keeps_small=True))
    x = np.full((1, 4, 6, 6), np.inf, np.float32)
    for numbers in (x, -x):
        got = Session(serialise(optimised.model), ["x"]).run([numbers])["y"]
        np.testing.assert_array_equal(got, function(numbers).astype(np.float32))


@pytest.mark.parametrize("alpha", [1.0, 2.5, -0.5])
def test_elu_keeps_its_depth(alpha: float) -> None:
    text = write_graph(f"y = Elu<alpha = {alpha}>(x)")
    optimised = optimise(parse_graph(text), plan=FormPlan(keeps_small=True))
    got = Session(serialise(optimised.model), ["x"]).run([X])["y"]
    expected = np.where(X > 0, X, alpha * np.expm1(np.minimum(X.astype(np.float64), 0)))
    np.testing.assert_allclose(got, expected, rtol=5e-7)


@pytest.mark.parametrize("text", [text for text, _ in FORMS.values()])
def test_no_other_plan_takes_them(text: str) -> None:
    fired = optimise(parse_graph(write_graph(text))).count_firings()
    assert not fired.keys() & FORMS.keys()


@pytest.mark.parametrize(
    "text",
    [
        "half = Constant<value = float {0.5}>() e = Exp(x) y = Sub(e, half)",
        "half = Constant<value = float {0.5}>() u = Add(x, half) y = Log(u)",
        f"{WITH_ONE}a = Abs(x) y = Sub(a, one)",
    ],
)
def test_other_differences_stay(text: str) -> None:
    optimised = optimise(parse_graph(write_graph(text)), plan=FormPlan(keeps_small=True))
    assert list_operators(optimised) == [
        node.op_type for node in parse_graph(write_graph(text)).graph if node.op_type != "Constant"
    ]
