import pytest

from convert.rules.scale_past_concat import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)

WIDE = "float[N,8,6,6]"


@pytest.mark.parametrize("shapes", [((4, 1, 1), (4, 1, 1)), ((4, 1, 1), ()), ((), ())])
def test_the_scales_of_all_branches_become_one(shapes: tuple[tuple[int, ...], ...]) -> None:
    scales = (write_constant(name, *shape) for name, shape in zip("st", shapes, strict=True))
    text = write_graph("r = Relu(x) m = Mul(x, s) n = Mul(r, t) y = Concat<axis = 1>(m, n)", *scales, y=WIDE)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Relu", "Concat", "Mul"]
    assert_same_values(optimised, text, tolerance=0)


def test_equal_numbers_pass_along_any_axis() -> None:
    text = write_graph(
        "m = Mul(x, s) n = Mul(x, s) y = Concat<axis = 3>(m, n)", write_constant("s"), y="float[N,4,6,12]"
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Concat", "Mul"]
    assert_same_values(optimised, text, tolerance=0)


ALONE = "a branch stands without a scale, or its scaled value is read elsewhere too"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "y = Concat<axis = 1>(m, x)",
            "a branch stands without a scale, or its scaled value is read elsewhere too",
        ),
        ("n = Mul(x, t) y = Concat<axis = 1>(m, n)", "the scales do not follow the channels that are joined"),
    ],
)
def test_it_declines(body: str, reason: str) -> None:
    text = write_graph(f"m = Mul(x, s) {body}", write_constant("s", 4, 1, 1), write_constant("t", 6), y=WIDE)
    assert list_reasons(apply_rule(RULE, text)) == [reason]
