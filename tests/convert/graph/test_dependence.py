import pytest

from convert.graph.dependence import find_dependents, sets_sizes
from tests.convert.graphs import parse_graph

_HEAD = '<ir_version: 10, opset_import: ["" : 20]> g (int64[N] a, float[N] b) => (float[M] y)'


def _list_dependents(body: str) -> set[str]:
    graph = parse_graph(f"{_HEAD} {{ {body} }}").graph
    return {value.name or "" for value in find_dependents(graph, graph.inputs[0])}


def test_numbers_are_followed_to_the_outputs() -> None:
    assert _list_dependents("c = Cast<to = 1>(a) d = Add(c, b) e = Neg(b) y = Mul(d, e)") == {
        "a",
        "c",
        "d",
        "y",
    }


def test_a_size_is_no_number() -> None:
    assert _list_dependents("s = Shape(a) y = Expand(b, s)") == {"a"}


def test_inner_graphs_are_read() -> None:
    inner = "then_branch = t () => (float[N] u) { c = Cast<to = 1>(a) u = Add(c, b) }"
    other = "else_branch = e () => (float[N] v) { v = Neg(b) }"
    assert "y" in _list_dependents(f"k = Constant<value = bool {{1}}>() y = If<{inner}, {other}>(k)")


_RANGE = "n = ReduceMax<keepdims = 0>(a) r = Range(n, n, n) y = Cast<to = 1>(r)"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (_RANGE, True),
        ("y = Expand(b, a)", True),
        ("s = Shape(b) c = Cast<to = 1>(a) y = Expand(c, s)", False),
        ("c = Cast<to = 1>(a) y = Add(c, b)", False),
    ],
)
def test_numbers_that_are_sizes_are_found(body: str, expected: bool) -> None:
    graph = parse_graph(f"{_HEAD} {{ {body} }}").graph
    assert sets_sizes(graph, graph.inputs[0]) is expected
