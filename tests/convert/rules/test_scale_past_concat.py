import pytest

from convert.rules.scale_past_concat import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons

WIDE = "float[N,8,6,6]"


@pytest.mark.parametrize("shapes", [((4, 1, 1), (4, 1, 1)), ((4, 1, 1), ()), ((), ())])
def test_the_scales_of_all_branches_become_one(shapes: tuple[tuple[int, ...], ...]) -> None:
    scales = (constant(name, *shape) for name, shape in zip("st", shapes, strict=True))
    text = graph("r = Relu(x) m = Mul(x, s) n = Mul(r, t) y = Concat<axis = 1>(m, n)", *scales, y=WIDE)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Relu", "Concat", "Mul"]
    assert_same_values(optimised, text, tolerance=0)


def test_equal_numbers_pass_along_any_axis() -> None:
    text = graph("m = Mul(x, s) n = Mul(x, s) y = Concat<axis = 3>(m, n)", constant("s"), y="float[N,4,6,12]")
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Concat", "Mul"]
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
    text = graph(f"m = Mul(x, s) {body}", constant("s", 4, 1, 1), constant("t", 6), y=WIDE)
    assert reasons(applied(RULE, text)) == [reason]
