import pytest

from convert.rules.neutral_to_nothing import RULE
from tests.convert.graphs import (
    applied,
    assert_same_values,
    constant,
    graph,
    operators,
    reasons,
    run,
    samples,
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
    text = graph(f"r = Relu(x) n = {neutral} y = Relu(n)", constant("c", 4, 1, 1, values=values))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Relu", "Relu"]
    assert_same_values(optimised, text, tolerance=0)


def test_the_graphs_output_keeps_its_name() -> None:
    text = graph("r = Relu(x) y = Mul(r, c)", constant("c", values="{1}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Relu"]
    assert list(run(optimised.model, {"x": samples()})) == ["y"]


def test_a_constant_that_is_not_neutral_stays() -> None:
    text = graph("y = Mul(x, c)", constant("c", 4, 1, 1, values="{1, 1, 1, 2}"))
    assert operators(applied(RULE, text)) == ["Mul"]


def test_a_constant_divided_by_x_is_not_x() -> None:
    text = graph("y = Div(c, x)", constant("c", values="{1}"))
    assert operators(applied(RULE, text)) == ["Div"]


def test_it_leaves_what_widens_its_input() -> None:
    text = graph(
        "r = Relu(x) y = Mul(r, c)", constant("c", 2, 1, values="{1, 1}"), x="float[N,1]", y="float[2,N2]"
    )
    optimised = applied(RULE, text.replace("float[2,N2]", "float[2,1]").replace("float[N,1]", "float[1,1]"))
    assert operators(optimised) == ["Relu", "Mul"]


def test_it_declines_where_an_input_would_become_an_output() -> None:
    optimised = applied(RULE, graph("y = Mul(x, c)", constant("c", values="{1}")))
    assert reasons(optimised) == [
        "an output of the graph cannot be another name for one of its inputs or outputs"
    ]
