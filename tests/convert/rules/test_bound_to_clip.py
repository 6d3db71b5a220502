import numpy as np
import pytest

from convert.rewriting.optimise import optimise
from convert.rules import RULES
from convert.rules.bound_to_clip import RULE
from tests.convert.graphs import (
    apply_rule,
    list_operators,
    list_reasons,
    parse_graph,
    run_graph,
    write_constant,
    write_graph,
)

EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, 1e-40, -1e-40, 3e38, -3e38, 0.4999, 0.5001]


@pytest.mark.parametrize("body", ["y = Max(x, b)", "y = Max(b, x)", "y = Min(x, b)", "y = Min(b, x)"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
@pytest.mark.parametrize("bound", [0.0, 0.5, -2.0])
def test_a_bound_is_a_clip_for_every_number(body: str, shape: tuple[int, ...], bound: float) -> None:
    text = write_graph(body, write_constant("b", *shape, values=f"{{{bound}}}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Clip"]
    x = np.resize(np.array(EDGES, np.float32), (1, 4, 6, 6))
    before, after = (run_graph(model, {"x": x})["y"] for model in (parse_graph(text), optimised.model))
    np.testing.assert_array_equal(after, before)


def test_no_other_rule_takes_it_back() -> None:
    text = write_graph("e = Exp(x) m = Min(e, b) y = Exp(m)", write_constant("b", values="{0.5}"))
    assert list_operators(optimise(parse_graph(text), RULES)) == ["Exp", "Clip", "Exp"]


@pytest.mark.parametrize("constant", [write_constant("b", 4, 1, 1), write_constant("b", 2, 1, 1, 1, 1)])
def test_it_declines_a_bound_of_several_numbers(constant: str) -> None:
    shape = "float[2,N,4,6,6]" if "[2" in constant else "float[N,4,6,6]"
    reasons = list_reasons(apply_rule(RULE, write_graph("y = Max(x, b)", constant, y=shape)))
    assert reasons == ["the bound is not one constant floating point number"]


def test_two_values_stay() -> None:
    assert list_operators(apply_rule(RULE, write_graph("e = Exp(x) y = Max(x, e)"))) == ["Exp", "Max"]
