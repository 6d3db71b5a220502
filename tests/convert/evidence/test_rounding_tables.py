import pytest

from convert.evidence.rounding_tables import describe_rounding
from convert.manifest.records import SYMMETRIC, RoundingRecord


@pytest.mark.parametrize(
    ("ranges_by", "words"),
    [
        (None, "of your own; 0 layers"),
        ("percentile", "of your own, in ranges that hold 99.99 % of its numbers; 0 layers"),
        (
            f"percentile{SYMMETRIC}",
            "of your own, in ranges that hold 99.99 % of its numbers, symmetric around 0; 0 layers",
        ),
        ("of another program", "of your own, in ranges of another program; 0 layers"),
    ],
)
def test_the_way_of_choosing_ranges_is_said(ranges_by: str | None, words: str) -> None:
    record = RoundingRecord("static", "given", 3, None, 1.0, 0.0, 1.0, (), None, (), 1, ranges_by=ranges_by)
    assert words in describe_rounding("int8", record)
