import pytest

from convert.rules.selu_to_elu import RULE
from tests.convert.graphs import (
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_graph,
)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("Selu(x)", ["Elu", "Mul"]),
        ("Selu<alpha = 0.5, gamma = 2.0>(x)", ["Elu", "Mul"]),
        ("Celu(x)", ["Elu"]),
        ("Celu<alpha = 0.75>(x)", ["Mul", "Elu", "Mul"]),
    ],
)
def test_it_is_an_elu_and_scales(call: str, expected: list[str]) -> None:
    text = write_graph(f"y = {call}")
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text)


def test_selu_of_rows_stays() -> None:
    text = write_graph("y = Selu(x)", x=ROWS, y=ROWS)
    assert list_reasons(apply_rule(RULE, text)) == ["on rows `Selu` fuses into the Gemm before it"]


def test_it_declines_a_depth_below_zero() -> None:
    assert list_reasons(apply_rule(RULE, write_graph("y = Celu<alpha = -1.0>(x)"))) == [
        "the depth is not above 0"
    ]
