import numpy as np
import pytest

from convert.rewriting.forms import ALTERNATIVES
from convert.rewriting.optimise import OptimisedGraph, optimise
from convert.rewriting.plan import KINDS, FormPlan
from tests.convert.graphs import assert_same_values, list_operators, parse_graph, write_constant, write_graph

# The operators that each form leaves, of the first graph.
LEFT = {
    "elu_as_max": ["Min", "Exp", "Mul", "Sub", "Max"],
    "elu_as_sum": ["Relu", "Min", "Exp", "Mul", "Sub", "Add"],
    "prelu_as_min": ["Min", "Mul", "Relu", "Add"],
    "leakyrelu_as_relu": ["Relu", "Mul", "Mul", "Add"],
    "leakyrelu_as_max": ["Mul", "Max"],
    "gelu_as_erf": ["Mul", "Erf", "Mul", "Add", "Mul"],
    "hardswish_as_gate": ["HardSigmoid", "Mul"],
    "hardswish_as_clip": ["Mul", "Add", "Clip", "Mul"],
    "clip_as_max_min": ["Max", "Min"],
}
SLOPES = write_constant("s", 4, 1, 1)
BOUNDS = (write_constant("low", values="{-0.5}"), write_constant("high", values="{1.5}"))
GRAPHS = {
    "elu_as_max": write_graph("y = Elu<alpha = 0.5>(x)"),
    "elu_as_sum": write_graph("y = Elu<alpha = 1.5>(x)"),
    "prelu_as_min": write_graph("y = PRelu(x, s)", SLOPES),
    "leakyrelu_as_relu": write_graph("y = LeakyRelu<alpha = -0.25>(x)"),
    "leakyrelu_as_max": write_graph("y = LeakyRelu<alpha = 0.25>(x)"),
    "gelu_as_erf": write_graph("y = Gelu(x)"),
    "hardswish_as_gate": write_graph("y = HardSwish(x)"),
    "hardswish_as_clip": write_graph("y = HardSwish(x)"),
    "clip_as_max_min": write_graph("y = Clip(x, low, high)", *BOUNDS),
}
DECLINED = {
    "elu_as_max": (write_graph("y = Elu<alpha = 1.5>(x)"), "above 1 the exponential falls below the line"),
    "prelu_as_min": (write_graph("s = Abs(x) y = PRelu(x, s)"), "the slope is not constant"),
    "leakyrelu_as_relu": (
        write_graph("y = LeakyRelu<alpha = 9.0>(x)"),
        "a slope beyond 8 would cancel digits",
    ),
    "leakyrelu_as_max": (
        write_graph("y = LeakyRelu<alpha = 1.5>(x)"),
        "outside 0 to 1 Max picks the other line",
    ),
    "gelu_as_erf": (
        write_graph('y = Gelu<approximate = "tanh">(x)'),
        "the approximation by Tanh has another curve",
    ),
    "clip_as_max_min": (write_graph("y = Clip(x)"), "it has no bounds"),
}
FORMS = [rule.name for rule in ALTERNATIVES]


def write_form(form: str, text: str) -> OptimisedGraph:
    """The graph with the form at `y`."""
    kind = next(kind.name for kind in KINDS if form in kind.forms)
    return optimise(parse_graph(text), plan=FormPlan().with_form([(kind, "y")], form))


@pytest.mark.parametrize("form", FORMS)
def test_a_form_fires_where_it_is_chosen_and_is_counted(form: str) -> None:
    optimised = write_form(form, GRAPHS[form])
    assert list_operators(optimised) == LEFT[form]
    assert optimised.count_firings()[form] == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_form_computes_the_same(form: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 6, 6)).astype(np.float32) * 4
    x.reshape(-1)[:6] = (0, -0.0, 3, -3, 1e-8, -88)
    assert_same_values(write_form(form, GRAPHS[form]), GRAPHS[form], x)


@pytest.mark.parametrize("form", DECLINED)
def test_a_form_declines_with_its_reason(form: str) -> None:
    text, reason = DECLINED[form]
    before = [node.op_type for node in parse_graph(text).graph]
    optimised = write_form(form, text)
    assert list_operators(optimised) == before
    assert reason in [refusal.reason for refusal in optimised.refusals]
