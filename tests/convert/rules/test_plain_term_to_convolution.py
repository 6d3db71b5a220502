import numpy as np
import pytest

from convert.rules.matmul_to_gemm import RULE as IDLE
from convert.rules.plain_term_to_convolution import RULE
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

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS = write_constant("w", 4, 4, 3, 3)


@pytest.mark.parametrize("shape", [(), (4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize(
    ("total", "expected"),
    [
        ("m = Mul(e, s) n = Add(r, m)", ["Conv", "Exp", "Relu", "Conv", "Add", "Conv"]),
        ("m = Mul(e, s) k = Sub(m, t) n = Add(k, r)", ["Conv", "Exp", "Relu", "Conv", "Add", "Conv"]),
        ("n = Sub(r, e)", ["Conv", "Exp", "Relu", "Conv", "Add", "Conv"]),
        ("m = Mul(r, s) n = Add(m, e)", ["Conv", "Exp", "Relu", "Mul", "Conv", "Add", "Conv"]),
        (
            "q = Erf(c) m = Add(e, q) n = Add(r, m)",
            ["Conv", "Exp", "Relu", "Erf", "Conv", "Add", "Conv", "Add", "Conv"],
        ),
    ],
)
def test_a_term_in_the_plain_order_goes_through_a_convolution(
    total: str, expected: list[str], shape: tuple[int, ...]
) -> None:
    constants = WEIGHTS, write_constant("s", *shape), write_constant("t", *shape)
    text = write_graph(f"c = {CONV}(x, w) e = Exp(c) r = Relu(c) {total} y = {CONV}(n, w)", *constants)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text, make_samples().clip(-1, 1) / 4, tolerance=1e-5)


def test_what_follows_in_a_residual_network_stays_in_the_layout() -> None:
    text = write_graph(
        f"c = {CONV}(x, w) e = Erf(c) n = Add(c, e) d = {CONV}(n, w) p = Add(d, n) f = Erf(p) q = Add(p, f) "
        f"y = {CONV}(q, w)",
        WEIGHTS,
    )
    optimised = apply_rule(RULE, text)
    assert len(optimised.firings) == 2
    assert_same_values(optimised, text, make_samples().clip(-3, 3), tolerance=1e-5)


def test_it_keeps_what_is_not_a_number() -> None:
    text = write_graph(f"c = {CONV}(x, w) e = Erf(c) n = Add(c, e) y = {CONV}(n, w)", WEIGHTS)
    x = np.zeros((1, 4, 6, 6), np.float32)
    x[0, 0, :2, :2] = [[np.nan, np.inf], [-np.inf, 1e30]]
    before, after = (run_graph(apply_rule(rule, text).model, {"x": x})["y"] for rule in (RULE, IDLE))
    np.testing.assert_array_equal(np.isfinite(after), np.isfinite(before))


@pytest.mark.parametrize(
    "body",
    [
        f"e = Exp(x) n = Add(x, e) y = {CONV}(n, w)",  # no term is in the layout
        f"c = {CONV}(x, w) r = Relu(c) n = Add(c, r) y = {CONV}(n, w)",  # every term is
        f"c = {CONV}(x, w) e = Exp(c) n = Add(c, e) y = Exp(n)",  # what reads the sum is not
        f"c = {CONV}(x, w) e = Exp(c) y = Add(c, e)",  # an output of the graph
        f"c = {CONV}(x, w) e = Exp(c) n = Add(c, e) s = Mul(n, h) y = Erf(s)",  # nor what reads its scale
        f"c = {CONV}(x, w) e = Exp(c) n = Max(c, e) y = {CONV}(n, w)",  # no sum
    ],
)
def test_other_sums_stay(body: str) -> None:
    assert not apply_rule(RULE, write_graph(body, WEIGHTS, write_constant("h"))).firings


def test_it_declines_channels_that_the_layout_does_not_take() -> None:
    text = write_graph(
        "c = Conv(x, v) e = Exp(c) n = Add(c, e) y = Conv(n, u)",
        write_constant("v", 6, 4, 1, 1),
        write_constant("u", 4, 6, 1, 1),
    )
    assert list_reasons(apply_rule(RULE, text)) == ["the channels are not known, or no multiple of 4"]


def test_it_declines_a_scale_along_the_width() -> None:
    body = f"c = {CONV}(x, w) e = Exp(c) m = Mul(e, s) n = Add(c, m) y = {CONV}(n, w)"
    (reason,) = list_reasons(apply_rule(RULE, write_graph(body, WEIGHTS, write_constant("s", 6))))
    assert reason == "a constant of shape [6] is not one number for each of 4 channels"
