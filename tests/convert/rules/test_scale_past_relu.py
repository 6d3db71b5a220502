import pytest

from convert.rules.scale_past_relu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)


@pytest.mark.parametrize("ramp", ["Relu(m)", "LeakyRelu<alpha = -0.5>(m)"])
@pytest.mark.parametrize("scale", ["Mul(x, s)", "Div(x, s)"])
def test_a_scale_above_zero_moves_past_the_ramp(ramp: str, scale: str) -> None:
    text = write_graph(f"m = {scale} y = {ramp}", write_constant("s", 4, 1, 1, values="{0.5, 2, 3, 0.25}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [ramp.partition("<")[0].partition("(")[0], "Mul"]
    assert_same_values(optimised, text)


@pytest.mark.parametrize("values", ["{-1, 1, 1, 1}", "{0, 1, 1, 1}"])
def test_it_declines_another_scale(values: str) -> None:
    optimised = apply_rule(
        RULE, write_graph("m = Mul(x, s) y = Relu(m)", write_constant("s", 4, 1, 1, values=values))
    )
    assert list_reasons(optimised) == ["`Relu` commutes with a scale above 0 only"]
