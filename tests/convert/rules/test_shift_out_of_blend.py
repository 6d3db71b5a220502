import numpy as np
import pytest

from convert.rules.shift_out_of_blend import RULE
from tests.convert.graphs import (
    IMAGE,
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

A, T, ONE = write_constant("a", 4), write_constant("t"), write_constant("one", values="{1}")
BEND = "q = Mul(x, x) r = Add(q, one) u = Sqrt(r) v = Sub(u, one) m = Mul(v, a) z = Add(m, x)"
SQUARE = write_constant("w", 4, 4)


def rows(body: str, *constants: str) -> str:
    return write_graph(body, A, T, ONE, *(constants or (SQUARE,)), x=ROWS, y=ROWS)


def images(body: str, *kernel: int, y: str = IMAGE) -> str:
    return write_graph(
        body, write_constant("a", 4, 1, 1), T, ONE, write_constant("w", 4, 4, *kernel), x=IMAGE, y=y
    )


ROOT = ["Mul", "Add", "Sqrt", "Mul", "Add"]
FORMS = {
    "Gemm": rows(f"{BEND} y = Gemm(z, w)"),
    "a shift of its own": rows("s = Add(x, t) b = Tanh(x) z = Sub(b, s) y = Gemm(z, w)"),
    "a constant minuend": rows("b = Tanh(x) z = Sub(t, b) y = Gemm(z, w)"),
    "MatMul and its bias": rows(f"{BEND} p = MatMul(z, w) y = Add(p, a)"),
    "unpadded Conv": images(f"{BEND} y = Conv(z, w)", 1, 1),
    "past pooling": images(f"{BEND} p = GlobalAveragePool(z) y = Conv(p, w)", 1, 1, y="float[N,4,1,1]"),
}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("Gemm", [*ROOT, "Gemm"]),
        ("a shift of its own", ["Tanh", "Mul", "Add", "Gemm"]),
        ("a constant minuend", ["Tanh", "Mul", "Gemm"]),
        ("MatMul and its bias", [*ROOT, "MatMul", "Add"]),
        ("unpadded Conv", [*ROOT, "Conv"]),
        ("past pooling", [*ROOT, "GlobalAveragePool", "Conv"]),
    ],
)
def test_a_shift_within_a_sum_goes_into_the_bias_after_it(form: str, expected: list[str]) -> None:
    optimised = apply_rule(RULE, FORMS[form])
    assert list_operators(optimised) == expected
    shape = (5, 4) if ROWS in FORMS[form].partition("=>")[0] else (3, 4, 6, 6)
    assert_same_values(optimised, FORMS[form], make_samples(shape).clip(-30, 30), tolerance=1e-5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            images(f"{BEND} y = Conv<pads = [1,1,1,1]>(z, w)", 3, 3),
            "a shift before a padded `Conv` differs at the border, where the padding is not shifted",
        ),
        (
            rows(f"{BEND} g = Gemm(z, w) y = Add(g, z)"),
            "the sum is an output of the graph or is read elsewhere too",
        ),
        (rows(f"{BEND} y = MatMul(z, w)"), "`MatMul` has no bias that a shift could go into"),
        (
            rows("b = Tanh(x) s = Sub(x, far) z = Add(b, s) y = Gemm(z, w)", SQUARE, "float far = {4.5}"),
            "the shift is large beside the sum, whose digits would be lost until it is applied",
        ),
        (
            images(
                f"{BEND} p = AveragePool<kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1>(z) "
                "y = Conv(p, w)",
                1,
                1,
            ),
            "a padded `AveragePool` counts zeros that are not shifted",
        ),
    ],
)
def test_it_declines(text: str, reason: str) -> None:
    optimised = apply_rule(RULE, text)
    assert not optimised.firings
    assert reason in list_reasons(optimised)


@pytest.mark.parametrize("body", ["b = Tanh(x) s = Add(b, t) y = Gemm(s, w)", f"{BEND} y = Exp(z)"])
def test_it_leaves_a_last_shift_and_one_that_nothing_takes(body: str) -> None:
    assert not apply_rule(RULE, rows(body)).firings


def test_the_bias_is_worked_out_in_float64() -> None:
    optimised = apply_rule(RULE, FORMS["Gemm"])
    bias = optimised.model.graph[-1].inputs[2]
    assert bias is not None
    assert bias.const_value is not None
    a, w = (numbers_of(FORMS["Gemm"], name) for name in ("a", "w"))
    assert np.array_equal(bias.const_value.numpy(), (-a @ w.reshape(4, 4)).astype(np.float32))


def numbers_of(text: str, name: str) -> np.ndarray:
    written = text.partition(f" {name} = {{")[2].partition("}")[0]
    return np.array([float(number) for number in written.split(",")])
