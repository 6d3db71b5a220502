import pytest

from convert.rewriting.optimise import optimise
from convert.rules.elu_to_exp import RULE
from tests.convert.graphs import (
    IMAGE,
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    parse_graph,
    write_constant,
    write_graph,
)

ONE = ["Min", "Exp", "Sub", "Max"]
SMALL = ["Min", "Exp", "Mul", "Sub", "Max"]
OTHER = ["Min", "Exp", "Mul", "Sub", "Relu", "Add"]


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [("1.0", ONE), ("0.5", SMALL), ("0.0", SMALL), ("1.5", OTHER), ("-0.5", OTHER), ("30.0", OTHER)],
)
def test_elu_becomes_its_exponential(alpha: str, expected: list[str]) -> None:
    text = write_graph(f"y = Elu<alpha = {alpha}>(x)")
    optimised = apply_rule(RULE, text)
    assert sorted(list_operators(optimised)) == sorted(expected)
    assert_same_values(optimised, text, tolerance=1e-6 * max(1, abs(float(alpha))))


def test_alpha_is_one_where_nothing_is_said() -> None:
    text = write_graph("y = Elu(x)")
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ONE
    assert_same_values(optimised, text)


@pytest.mark.parametrize("rows", [ROWS, "float[N,2047]", "float[15,128]"])
def test_it_declines_on_few_rows_where_it_fuses_into_a_gemm(rows: str) -> None:
    optimised = apply_rule(RULE, write_graph("y = Elu(x)", x=rows, y=rows))
    assert list_operators(optimised) == ["Elu"]
    assert list_reasons(optimised) == ["on rows `Elu` fuses into the Gemm before it"]


@pytest.mark.parametrize(("rows", "shape"), [("float[N,2048]", (2, 2048)), ("float[16,128]", (16, 128))])
@pytest.mark.parametrize("alpha", ["1.0", "1.5"])
def test_on_many_rows_it_becomes_its_exponential_and_stays_so(
    rows: str, shape: tuple[int, ...], alpha: str
) -> None:
    text = write_graph(f"y = Elu<alpha = {alpha}>(x)", x=rows, y=rows)
    optimised = optimise(parse_graph(text))
    assert "Exp" in list_operators(optimised)
    assert_same_values(optimised, text, make_samples(shape))


def test_between_convolutions_it_is_a_sum_which_becomes_a_part_of_one() -> None:
    text = write_graph("c = Conv(x, w) e = Elu(c) y = Conv(e, w)", write_constant("w", 4, 4, 1, 1))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "Min", "Exp", "Relu", "Sub", "Add", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-20, 20), tolerance=1e-5)


def test_it_declines_an_unknown_rank() -> None:
    text = write_graph(
        "s = Shape(x) r = Reshape(x, p) e = Elu(r) y = Reshape(e, s)", x=f"int64[K] p, {IMAGE}"
    )
    assert list_reasons(apply_rule(RULE, text)) == ["the type or rank of the input is not known"]


def test_beside_a_relu_it_leaves_a_relu_and_a_constant_to_merge() -> None:
    text = write_graph(
        "e = Elu<alpha = 0.5>(x) m = Mul(e, w) r = Relu(x) y = Add(m, r)", write_constant("w", 4, 1, 1)
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Min", "Exp", "Mul", "Relu", "Add", "Sub", "Mul", "Relu", "Add"]
    assert_same_values(optimised, text, make_samples().clip(-20, 20))
