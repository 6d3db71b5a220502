"""A constant that would widen what it meets is no scale, shift, bound or slope to any rule."""

import numpy as np
import pytest

from convert.graph.affine import match_scale, match_shift
from convert.rewriting.optimise import optimise
from tests.convert.graphs import Array, parse_graph, run_graph, write_constant, write_graph

WIDE = write_constant("s", 4, values="{1, 2, 3, 4}")
DEEP = write_constant("s", 1, 1, values="{2}")
ZERO, ONE = write_constant("z", values="{0}"), write_constant("one", values="{1}")


@pytest.mark.parametrize(
    ("body", "constants", "x", "y"),
    [
        ("m = Mul(x, s) y = Relu(m)", [WIDE], "float[N,1]", "float[N,4]"),
        ("m = Add(x, s) y = Relu(m)", [WIDE], "float[N,1]", "float[N,4]"),
        ("m = Mul(x, s) y = MatMul(m, w)", [WIDE, write_constant("w", 4, 3)], "float[N,1]", "float[N,3]"),
        ("m = Mul(x, s) y = Flatten(m)", [write_constant("s", 3, 1, 1)], "float[N,1,2,2]", "float[N,12]"),
        ("t = Greater(x, z) m = Mul(x, s) y = Where(t, x, m)", [WIDE, ZERO], "float[N,1]", "float[N,4]"),
        ("t = Less(x, s) m = Mul(x, one) y = Where(t, m, x)", [DEEP, ONE], "float[4]", "float[1,4]"),
        ("r = Relu(x) a = Mul(r, s) n = Min(x, z) y = Add(a, n)", [WIDE, ZERO], "float[N,1]", "float[N,4]"),
        ("m = Max(x, s) y = Min(m, z)", [DEEP, ONE.replace(" one ", " z ")], "float[4]", "float[1,4]"),
        ("m = Mul(x, s) y = Transpose(m)", [DEEP], "float[4]", "float[4,1]"),
        (
            "e = Exp(x) l = Sub(e, one) a = Mul(l, s) t = Greater(x, z) b = Mul(x, s) y = Where(t, b, a)",
            [WIDE, ZERO, ONE],
            "float[N,1]",
            "float[N,4]",
        ),
        (
            "k = Mul(x, h) e = Erf(k) f = Add(e, one) g = Mul(x, f) y = Mul(g, s)",
            [WIDE, ONE, write_constant("h", values="{0.70710678}")],
            "float[N,1]",
            "float[N,4]",
        ),
        (
            "m = Sub(x, s) y = Conv(m, w)",
            [write_constant("s", 3, 1, 1), write_constant("w", 2, 3, 3, 3)],
            "float[N,1,4,4]",
            "float[N,2,2,2]",
        ),
    ],
)
def test_all_rules_keep_a_widening_constant(body: str, constants: list[str], x: str, y: str) -> None:
    text = write_graph(body, *constants, x=x, y=y)
    sizes = [int(size) if size.isdigit() else 2 for size in x[len("float[") : -1].split(",")]
    given: dict[str, Array] = {"x": np.random.default_rng(0).standard_normal(sizes).astype(np.float32)}
    before = run_graph(parse_graph(text), given)["y"]
    after = run_graph(optimise(parse_graph(text)).model, given)["y"]
    assert after.shape == before.shape
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_a_widening_constant_is_no_scale_or_shift() -> None:
    for operator, read in (("Mul", match_scale), ("Add", match_shift)):
        wide = parse_graph(write_graph(f"y = {operator}(x, s)", WIDE, x="float[N,1]", y="float[N,4]"))
        beside = parse_graph(write_graph(f"y = {operator}(x, s)", WIDE, x="float[N,4]", y="float[N,4]"))
        assert read(wide.graph[0]) is None
        assert read(beside.graph[0]) is not None
