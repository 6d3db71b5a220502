import pytest

from convert.rules.neutral_to_nothing import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    run_graph,
    write_constant,
    write_graph,
)

ONES, ZEROS = "{1, 1, 1, 1}", "{0, 0, 0, 0}"


@pytest.mark.parametrize(
    ("neutral", "values"),
    [
        ("Mul(r, c)", ONES),
        ("Mul(c, r)", ONES),
        ("Div(r, c)", ONES),
        ("Add(r, c)", ZEROS),
        ("Sub(r, c)", ZEROS),
    ],
)
def test_a_neutral_step_is_left_out(neutral: str, values: str) -> None:
    text = write_graph(f"r = Relu(x) n = {neutral} y = Relu(n)", write_constant("c", 4, 1, 1, values=values))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Relu", "Relu"]
    assert_same_values(optimised, text, tolerance=0)


def test_the_graphs_output_keeps_its_name() -> None:
    text = write_graph("r = Relu(x) y = Mul(r, c)", write_constant("c", values="{1}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Relu"]
    assert list(run_graph(optimised.model, {"x": make_samples()})) == ["y"]


def test_a_constant_that_is_not_neutral_stays() -> None:
    text = write_graph("y = Mul(x, c)", write_constant("c", 4, 1, 1, values="{1, 1, 1, 2}"))
    assert list_operators(apply_rule(RULE, text)) == ["Mul"]


def test_a_constant_divided_by_x_is_not_x() -> None:
    text = write_graph("y = Div(c, x)", write_constant("c", values="{1}"))
    assert list_operators(apply_rule(RULE, text)) == ["Div"]


def test_it_leaves_what_widens_its_input() -> None:
    text = write_graph(
        "r = Relu(x) y = Mul(r, c)",
        write_constant("c", 2, 1, values="{1, 1}"),
        x="float[N,1]",
        y="float[2,N2]",
    )
    optimised = apply_rule(
        RULE, text.replace("float[2,N2]", "float[2,1]").replace("float[N,1]", "float[1,1]")
    )
    assert list_operators(optimised) == ["Relu", "Mul"]


def test_it_declines_where_an_input_would_become_an_output() -> None:
    optimised = apply_rule(RULE, write_graph("y = Mul(x, c)", write_constant("c", values="{1}")))
    assert list_reasons(optimised) == [
        "an output of the graph cannot be another name for one of its inputs or outputs"
    ]
