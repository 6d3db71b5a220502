import pytest

from convert.rules.affine_to_batchnorm import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    make_samples,
    write_constant,
    write_graph,
)

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS = write_constant("w", 4, 4, 3, 3)
FORMS = ["m = Mul(c, s) a = Add(m, t)", "a = Add(c, t)", "a = Sub(c, t)", "a = Sub(t, c)"]


@pytest.mark.parametrize("form", [*FORMS, "m = Mul(c, s) a = Sub(t, m)"])
@pytest.mark.parametrize("shape", [(), (4, 1, 1), (1, 4, 1, 1)])
def test_an_affine_step_between_convolutions_is_one_operator(form: str, shape: tuple[int, ...]) -> None:
    text = write_graph(
        f"c = {CONV}(x, w) {form} r = Relu(a) p = Mul(r, c) y = {CONV}(p, w)",
        *(WEIGHTS, write_constant("s", *shape), write_constant("t", *shape)),
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "BatchNormalization", "Relu", "Mul", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-3, 3), tolerance=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        f"a = Add(x, t) y = {CONV}(a, w)",  # not in the layout before it
        f"c = {CONV}(x, w) a = Add(c, t) y = Exp(a)",  # nor after it
        f"c = {CONV}(x, w) e = Abs(c) a = Add(e, t) y = {CONV}(a, w)",
        f"c = {CONV}(x, w) y = Add(c, t)",  # an output of the graph
    ],
)
def test_it_leaves_what_stands_elsewhere(body: str) -> None:
    assert not apply_rule(RULE, write_graph(body, WEIGHTS, write_constant("t"))).firings


def test_it_declines_a_constant_that_differs_along_the_width() -> None:
    text = write_graph(f"c = {CONV}(x, w) a = Add(c, t) y = {CONV}(a, w)", WEIGHTS, write_constant("t", 6))
    (refusal,) = apply_rule(RULE, text).refusals
    assert refusal.reason == "a constant of shape [6] is not one number for each of 4 channels"
