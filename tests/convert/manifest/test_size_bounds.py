import pytest

from convert.manifest.size_bounds import LARGEST_SIZE, SizeBounds


def test_a_size_is_fitted_upwards_else_downwards() -> None:
    bounds = SizeBounds("T", 5, 50, 4)
    sizes = [size for size in range(60) if 5 <= size <= 50 and size % 4 == 0]
    for size in range(60):
        assert bounds.allow(size) == (size in sizes)
        assert bounds.fit(size) == min((other for other in sizes if other >= size), default=sizes[-1])


@pytest.mark.parametrize(
    ("low", "high", "multiple"),
    [
        (3, 3, 1),
        (5, 4, 1),
        (0, 1, 1),
        (9, 15, 8),
        (-1, 8, 1),
        (0, 8, 0),
        (0, -5, 1),
        (LARGEST_SIZE + 1, None, 1),
    ],
)
def test_bounds_without_two_sizes_are_refused(low: int, high: int | None, multiple: int) -> None:
    with pytest.raises(ValueError, match="leaves no two sizes"):
        SizeBounds("T", low, high, multiple)


def test_both_bounds_are_kept() -> None:
    both = SizeBounds("T", 2, 80, 4).intersect(SizeBounds("T", 0, 60, 6))
    for size in range(100):
        assert both.allow(size) == (2 <= size <= 60 and size % 12 == 0)
