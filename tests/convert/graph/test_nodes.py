import numpy as np
import onnx_ir as ir
import pytest

from convert.graph.nodes import fits, same_shape, scalar, set_constant
from tests.convert.graphs import constant, graph, parsed


def _value(*sizes: int | str | None) -> ir.Value:
    return ir.Value(name="x", shape=ir.Shape(sizes), type=ir.TensorType(ir.DataType.FLOAT))


@pytest.mark.parametrize(
    ("constant_shape", "value", "expected"),
    [
        ((), _value(None, 3), True),
        ((), ir.Value(name="x"), True),
        ((1,), ir.Value(name="x"), False),
        ((3,), _value("N", 3), True),
        ((1, 3), _value("N", 3), True),
        ((3,), _value("N", 1), False),
        ((3, 1), _value("N", 3), False),
        ((1, 1, 1), _value("N", 3), False),
        ((4,), _value("N"), False),
    ],
)
def test_a_constant_fits_where_it_cannot_widen(
    constant_shape: tuple[int, ...], value: ir.Value, expected: bool
) -> None:
    assert fits(np.zeros(constant_shape), value) is expected


def test_sizes_without_a_name_are_not_known_to_be_equal() -> None:
    assert same_shape(_value("N", 3), _value("N", 3))
    assert not same_shape(_value(None, 3), _value(None, 3))
    assert not same_shape(_value("N", 3), _value("M", 3))
    one = _value(None, 3)
    assert same_shape(one, one)


def test_a_number_beside_a_value_has_no_more_axes() -> None:
    made = parsed(graph("y = Max(x, c)", constant("c", 1, 1, values="{2}"), x="float[3]", y="float[1,3]"))
    x, c = made.graph[0].inputs
    assert scalar(c) == 2
    assert scalar(c, beside=x) is None


def test_a_constant_that_is_written_again_has_its_new_shape() -> None:
    made = parsed(graph("y = Mul(x, c)", constant("c", 1, 1, values="{2}")))
    node = made.graph[0]
    set_constant(node, 1, np.ones((4, 1, 1)), np.float32, "scale")
    assert node.inputs[1] is not None
    assert node.inputs[1].shape == ir.Shape([4, 1, 1])
