import numpy as np
import onnx_ir as ir
import pytest

from convert.graph.edit import set_constant
from convert.graph.nodes import get_scalar, has_same_shape, keeps_shape
from tests.convert.graphs import parse_graph, write_constant, write_graph


def _make_value(*sizes: int | str | None) -> ir.Value:
    return ir.Value(name="x", shape=ir.Shape(sizes), type=ir.TensorType(ir.DataType.FLOAT))


@pytest.mark.parametrize(
    ("constant_shape", "value", "expected"),
    [
        ((), _make_value(None, 3), True),
        ((), ir.Value(name="x"), True),
        ((1,), ir.Value(name="x"), False),
        ((3,), _make_value("N", 3), True),
        ((1, 3), _make_value("N", 3), True),
        ((3,), _make_value("N", 1), False),
        ((3, 1), _make_value("N", 3), False),
        ((1, 1, 1), _make_value("N", 3), False),
        ((4,), _make_value("N"), False),
    ],
)
def test_a_constant_that_cannot_widen_keeps_the_shape(
    constant_shape: tuple[int, ...], value: ir.Value, expected: bool
) -> None:
    assert keeps_shape(np.zeros(constant_shape), value) is expected


def test_nameless_sizes_may_differ() -> None:
    assert has_same_shape(_make_value("N", 3), _make_value("N", 3))
    assert not has_same_shape(_make_value(None, 3), _make_value(None, 3))
    assert not has_same_shape(_make_value("N", 3), _make_value("M", 3))
    one = _make_value(None, 3)
    assert has_same_shape(one, one)


def test_a_number_beside_a_value_has_no_more_axes() -> None:
    made = parse_graph(
        write_graph("y = Max(x, c)", write_constant("c", 1, 1, values="{2}"), x="float[3]", y="float[1,3]")
    )
    x, c = made.graph[0].inputs
    assert get_scalar(c) == 2
    assert get_scalar(c, beside=x) is None


def test_a_new_constant_has_its_own_shape() -> None:
    made = parse_graph(write_graph("y = Mul(x, c)", write_constant("c", 1, 1, values="{2}")))
    node = made.graph[0]
    set_constant(node, 1, np.ones((4, 1, 1)), np.float32, "scale")
    assert node.inputs[1] is not None
    assert node.inputs[1].shape == ir.Shape([4, 1, 1])
