import numpy as np
import pytest

from convert.rules.filled_to_scalar import RULE
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

C = write_constant("c", values="{0.75}")
FILLS = ("s = Shape(x) f = Expand(c, s)", "s = Shape(x) f = ConstantOfShape<value = float[1] {0.75}>(s)")


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("last", ["y = Max(x, f)", "y = Sub(f, x)", "r = Relu(x) y = Mul(r, f)"])
def test_an_image_of_one_number_is_the_number(fill: str, last: str) -> None:
    text = write_graph(f"{fill} {last}", C)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [one.partition("(")[0].split()[-1] for one in last.split(")") if one]
    assert_same_values(optimised, text, tolerance=0)


def test_without_a_value_it_is_zeros() -> None:
    text = write_graph("s = Shape(x) f = ConstantOfShape(s) y = Min(x, f)")
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Min"]
    x = make_samples()
    np.testing.assert_array_equal(run_graph(optimised.model, {"x": x})["y"], np.minimum(x, 0))


def test_it_declines_what_the_filled_shape_widens() -> None:
    text = write_graph("s = Shape(x) f = Expand(c, s) p = GlobalMaxPool(x) y = Add(p, f)", C)
    assert list_reasons(apply_rule(RULE, text)) == [
        "the other side is not known to have the shape that is filled"
    ]


def test_a_part_of_a_shape_is_another_shape() -> None:
    text = write_graph("s = Shape<start = 2>(x) f = Expand(c, s) y = Add(x, f)", C)
    assert "Expand" in list_operators(apply_rule(RULE, text))


def test_what_is_filled_with_more_axes_than_the_other_side_stays() -> None:
    text = write_graph(
        "s = Shape(x) e = Expand(c, s) y = Max(x, e)",
        write_constant("c", 1, 1, 1, values="{0}"),
        x="float[N,4]",
        y="float[1,N,4]",
    )
    assert list_operators(apply_rule(RULE, text)) == ["Shape", "Expand", "Max"]


@pytest.mark.parametrize("number", [2**63 - 1, 2**53 + 1])
def test_a_whole_number_keeps_its_digits(number: int) -> None:
    """Such as `torch.iinfo(torch.int64).max`, which float64 does not hold."""
    head = '<ir_version: 10, opset_import: ["" : 20]> whole (int64[N,2] x) => (int64[N,2] y)'
    text = f"{head} <int64 c = {{{number}}}> {{ s = Shape(x) f = Expand(c, s) y = Min(x, f) }}"
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Min"]
    x = np.asarray([[2**63 - 1, -5]])
    assert run_graph(optimised.model, {"x": x})["y"].tolist() == [[number, -5]]
