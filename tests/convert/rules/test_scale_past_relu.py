import pytest

from convert.rules.scale_past_relu import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons


@pytest.mark.parametrize("ramp", ["Relu(m)", "LeakyRelu<alpha = -0.5>(m)"])
@pytest.mark.parametrize("scale", ["Mul(x, s)", "Div(x, s)"])
def test_a_scale_above_zero_moves_past_the_ramp(ramp: str, scale: str) -> None:
    text = graph(f"m = {scale} y = {ramp}", constant("s", 4, 1, 1, values="{0.5, 2, 3, 0.25}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == [ramp.partition("<")[0].partition("(")[0], "Mul"]
    assert_same_values(optimised, text)


@pytest.mark.parametrize("values", ["{-1, 1, 1, 1}", "{0, 1, 1, 1}"])
def test_it_declines_another_scale(values: str) -> None:
    optimised = applied(RULE, graph("m = Mul(x, s) y = Relu(m)", constant("s", 4, 1, 1, values=values)))
    assert reasons(optimised) == ["`Relu` commutes with a scale above 0 only"]
