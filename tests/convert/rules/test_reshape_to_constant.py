import pytest

from convert.graph.nodes import get_constant
from convert.rules.reshape_to_constant import RULE
from tests.convert.graphs import apply_rule, assert_same_values, list_operators, list_reasons, write_graph

INTS = (
    "int64[1] c = {144}",
    "int64 zero = {0}",
    "int64 one = {1}",
    "int64[1] at = {0}",
    "int64[1] none = {0}",
)
SIZE = "s = Shape(x) {n} = Gather(s, {place}) {n}1 = Unsqueeze({n}, at)"
BATCH, CHANNELS = (
    SIZE.format(n="b", place="zero"),
    SIZE.format(n="k", place="one").replace("s = Shape(x) ", ""),
)
REST = ("int64[1] m = {-1}", "int64[1] rest = {36}")


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        (f"{BATCH} d = Concat<axis = 0>(b1, c)", "float[M,144]"),
        (f"{BATCH} {CHANNELS} d = Concat<axis = 0>(b1, k1, rest)", "float[M,4,36]"),
        (f"{BATCH} {CHANNELS} d = Concat<axis = 0>(m, k1, k1)", "float[M,4,4]"),
    ],
)
def test_sizes_that_follow_from_the_others_are_constant(sizes: str, shape: str) -> None:
    text = write_graph(f"{sizes} y = Reshape(x, d)", *INTS, *REST, y=shape)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Reshape"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("d = Concat<axis = 0>(b1, m) y = Reshape(x, d)", "two sizes are not known, or one is 0"),
        ("d = Concat<axis = 0>(b1, none) y = Reshape(x, d)", "two sizes are not known, or one is 0"),
        ("d = Concat<axis = 0>(b1, c) y = Reshape<allowzero = 1>(x, d)", "a size of 0 means 0 there"),
    ],
)
def test_it_declines(call: str, reason: str) -> None:
    text = write_graph(f"{BATCH} {call}", *INTS, *REST, y="float[M,K]")
    assert list_reasons(apply_rule(RULE, text)) == [reason]


@pytest.mark.parametrize(
    "size",
    [
        "s = Shape(x) k = Gather(s, one1) d1 = Mul(k, two)",
        "s = Shape<end = 2>(x) k = Gather(s, last) k1 = Unsqueeze(k, at) d1 = Mul(k1, two)",
        "s = Shape<end = 2>(x) k = Gather(s, last) d1 = Unsqueeze(k, at)",
    ],
    ids=["a multiple", "a multiple of the last", "the last of a part"],
)
def test_a_size_that_is_computed_further_is_not_taken_as_stated(size: str) -> None:
    numbers = ("int64[1] one1 = {1}", "int64[1] two = {2}", "int64 last = {-1}")
    text = write_graph(
        f"{size} d = Concat<axis = 0>(d1, c) y = Reshape(x, d)", *INTS, *REST, *numbers, y="float[M,144]"
    )
    shape = get_constant(apply_rule(RULE, text).model.graph.node(-1).inputs[1])
    assert shape is not None
    assert shape.tolist() == [-1, 144]
