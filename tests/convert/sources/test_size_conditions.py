import pytest
import sympy
from torch import Tensor, nn
from torch.utils._sympy.functions import FloorDiv, Mod

from convert.manifest.size_bounds import SizeBounds
from convert.model_io.inputs import InputSpec, parse_input
from convert.model_io.other_sizes import OtherSizes
from convert.sources.export import export
from convert.sources.size_conditions import MOST_TRIED, SizeConditions

N, T, H, W = (sympy.Symbol(name, integer=True, positive=True) for name in "NTHW")
ROWS = (parse_input("x:float32[N,T,4]"),)
IMAGES = (parse_input("x:float32[N,3,H,W]"),)


def list_doubtful(*conditions: sympy.Basic, inputs: tuple[InputSpec, ...] = ROWS) -> list[OtherSizes]:
    return SizeConditions(conditions, inputs).list_doubtful()


@pytest.mark.parametrize(
    ("condition", "sizes", "bounds"),
    [
        (sympy.Le(T, 40), [41, 42, 127], "T<=40"),
        (sympy.Lt(T, 41), [41, 42, 127], "T<=40"),
        (sympy.Ge(T, 16), [15, 14, 7], "T>=16"),
        (sympy.Ge(T, 2), [1], "T>=2"),
        (sympy.Ne(T, 17), [17], "T>=18"),
        (sympy.Ne(T, 50), [50], "T>=51"),
        (sympy.Le(T, 70_000), [70_001, 70_002, 262_143], "T<=70000"),
        (sympy.Eq(Mod(T, 8), 0), [31, 30, 15, 33, 34, 127], "T%8==0"),
        (sympy.Eq(T, 8 * FloorDiv(T, 8)), [31, 30, 15, 33, 34, 127], "T%8==0"),
        (sympy.Eq(T, 32), [31, 30, 15, 33, 34, 127], None),
        (sympy.Lt(Mod(T, FloorDiv(T, 2)), 2), [1], "T>=2"),
    ],
)
def test_a_condition_is_broken_at_its_limit_and_beyond(
    condition: sympy.Basic, sizes: list[int], bounds: str | None
) -> None:
    doubtful = list_doubtful(condition)
    assert [other.sizes for other in doubtful] == [{"N": 2, "T": size} for size in sizes]
    assert {other.bounds and other.bounds.text for other in doubtful} == {bounds}


def test_bounds_meet_all_conditions_on_a_size() -> None:
    halves = [sympy.Eq(Mod(FloorDiv(T, 2**power), 2), 0) for power in range(3)]
    assert {other.bounds and other.bounds.text for other in list_doubtful(*halves)} == {"T%8==0"}
    quarters = list_doubtful(sympy.Eq(FloorDiv(T, 2), 2 * FloorDiv(T, 4)))
    assert {other.bounds and other.bounds.text for other in quarters} == {"T%4==0"}
    both = list_doubtful(sympy.Le(T, 40), sympy.Ge(T, 5), sympy.Ne(N, 3))
    assert [other.bounds and other.bounds.text for other in both if other.sizes["N"] == 2] == ["5<=T<=40"] * 6


def test_bounds_that_the_user_gave_are_kept() -> None:
    inputs = (parse_input("x:float32[N,T%8==0,4]"),)
    (other, *_) = list_doubtful(sympy.Le(T, 40), sympy.Eq(Mod(T, 8), 0), inputs=inputs)
    assert other.bounds == SizeBounds("T", 0, 47, 8)


def test_a_condition_is_said_in_the_names_of_the_sizes() -> None:
    assert {other.condition for other in list_doubtful(sympy.Eq(Mod(T, 8), 0))} == {"(T % 8) == 0"}


def test_sizes_beyond_the_users_bounds_are_not_doubtful() -> None:
    inputs = (parse_input("x:float32[N,24<=T<=40 and T%8==0,4]"),)
    assert not list_doubtful(sympy.Le(T, 40), sympy.Ge(T, 24), sympy.Eq(Mod(T, 8), 0), inputs=inputs)
    assert [other.sizes["T"] for other in list_doubtful(sympy.Le(T, 39), inputs=inputs)] == [40]


def test_a_condition_on_two_sizes_is_broken_by_each() -> None:
    doubtful = list_doubtful(N * T <= 100)
    assert all(other.sizes["N"] * other.sizes["T"] > 100 for other in doubtful)
    assert {"N": 2, "T": 51} in [other.sizes for other in doubtful]
    assert {"N": 4, "T": 32} in [other.sizes for other in doubtful]
    assert {other.bounds for other in doubtful} == {None}


def test_a_condition_that_only_small_sizes_break_is_found() -> None:
    sizes = [other.sizes for other in list_doubtful(sympy.Ne(N * T, 3))]
    assert sizes == [{"N": 3, "T": 1}, {"N": 1, "T": 3}]


def test_sizes_that_break_one_condition_alone_are_tried() -> None:
    multiples = sympy.Eq(Mod(W, 4), 0)
    doubtful = list_doubtful(multiples, sympy.Ne(FloorDiv(W, 4), 1), inputs=IMAGES)
    assert {"N": 2, "H": 32, "W": 4} in [other.sizes for other in doubtful]


def test_no_sizes_are_tried_twice_and_not_too_many() -> None:
    conditions = [sympy.Ne(T, size) for size in range(100, 170)]
    assert len(list_doubtful(*conditions)) == MOST_TRIED
    assert len(list_doubtful(sympy.Ge(T, 2), sympy.Ne(T, 1), sympy.Gt(T, 1))) == 1


@pytest.mark.parametrize(
    ("conditions", "fixed"),
    [
        ((sympy.Ge(T, 32), sympy.Le(T, 32)), {"T": 32}),
        ((sympy.Eq(T, 32),), {"T": 32}),
        ((sympy.Ge(T, 32),), {}),
        ((sympy.Eq(Mod(T, 8), 0),), {}),
        ((sympy.Ne(T, 33), sympy.Ne(N, 3)), {}),
        ((), {}),
    ],
)
def test_a_size_is_fixed_where_no_other_meets_the_conditions(
    conditions: tuple[sympy.Basic, ...], fixed: dict[str, int]
) -> None:
    assert SizeConditions(conditions, ROWS).list_fixed() == fixed


class Branch(nn.Module):
    """Code that asks for its sizes."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def forward(self, x: Tensor) -> Tensor:
        """Doubled, unless the code is true of the shape."""
        return x if eval(self.code, {"shape": x.shape}) else x * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("shape[1] > 40", {"N": 2, "T": 41, "C": 32}),
        ("shape[0] == 3", {"N": 3, "T": 32, "C": 32}),
        ("shape[1] != shape[2]", {"N": 2, "T": 33, "C": 32}),
    ],
)
def test_torchs_conditions_are_read(code: str, broken: dict[str, int]) -> None:
    exported = export(Branch(code), [parse_input("x:float32[N,T,C]")])
    assert broken in [other.sizes for other in exported.doubtful_sizes]


@pytest.mark.slow
def test_code_that_asks_for_no_size_has_no_condition() -> None:
    assert not export(nn.Linear(4, 2), [parse_input("x:float32[N,T,4]")]).doubtful_sizes
