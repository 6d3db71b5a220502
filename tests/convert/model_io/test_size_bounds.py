import pytest

from convert.errors import UsageError
from convert.manifest.size_bounds import SizeBounds
from convert.model_io.inputs import InputSpec, assign_batch, parse_input, share_size_bounds
from convert.model_io.size_bounds import parse_size_bounds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T", SizeBounds("T")),
        ("T>=2", SizeBounds("T", 2)),
        ("2<=T", SizeBounds("T", 2)),
        ("T<=512", SizeBounds("T", 0, 512)),
        ("2 <= T <= 512", SizeBounds("T", 2, 512)),
        ("T%8==0", SizeBounds("T", multiple=8)),
        ("T>=8 and T<=512 and T%8==0 and T%6==0", SizeBounds("T", 8, 512, 24)),
        ("T<=2", SizeBounds("T", 0, 2)),
    ],
)
def test_bounds_are_parsed(text: str, expected: SizeBounds) -> None:
    assert parse_size_bounds(text) == expected
    assert parse_size_bounds(expected.text) == expected


@pytest.mark.parametrize(
    "text", ["", "2<=512", "T>2", "2<=T<=", "T>=-1", "T%8", "T>=2 and", "T>=2 and N>=2", "T=>2", "é>=2"]
)
def test_another_text_has_no_bounds(text: str) -> None:
    assert parse_size_bounds(text) is None


@pytest.mark.parametrize(
    "text",
    ["3<=T<=3", "5<=T<=4", "T<=1", "T%0==0", "9<=T<=15 and T%8==0", "T>=4000000000", "T%3000000000==0"],
)
def test_bounds_without_two_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="leaves no two sizes"):
        parse_size_bounds(text)


def test_an_input_has_the_bounds_of_its_sizes() -> None:
    spec = parse_input("ids:int64[N<=4, 3<=T<=16]<50")
    assert spec == InputSpec("ids", "int64", ("N", "T"), 50, (SizeBounds("N", 0, 4), SizeBounds("T", 3, 16)))
    assert spec.text == "ids:int64[N<=4,3<=T<=16]<50"
    assert spec.fill_sizes({}) == (4, 16)
    assert assign_batch([spec], 64) == {"N": 4}


def test_a_size_that_is_named_twice_has_the_bounds_of_both() -> None:
    assert parse_input("x:float32[T>=2,T<=8,T]").size_bounds == (SizeBounds("T", 2, 8),)


def test_inputs_share_the_bounds_of_their_sizes() -> None:
    inputs = [parse_input("ids:int64[N,T>=2]"), parse_input("mask:bool[N,T<=9]"), parse_input("y:float32[M]")]
    both = (SizeBounds("T", 2, 9),)
    assert [spec.size_bounds for spec in share_size_bounds(inputs)] == [both, both, ()]


def test_inputs_whose_bounds_contradict_are_refused() -> None:
    with pytest.raises(UsageError, match="leaves no two sizes"):
        share_size_bounds([parse_input("ids:int64[N,T>=20]"), parse_input("mask:bool[N,T<=9]")])
