"""Amounts as people read them."""

import math

import pytest

from serve.experiments.amounts import (
    show_bytes,
    show_count,
    show_days,
    show_microseconds,
    show_number,
    show_quantile,
    show_share,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.2345, "1.23"),
        (-0.00123, "-0.00123"),
        (1234567.8, "1,234,568"),
        (1e-9, "1e-09"),
        (1e100, "1e+100"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (math.nan, "?"),
        (100.0, "100"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert show_number(value) == text


def test_shares_counts_and_quantiles() -> None:
    assert show_share(0.1234) == "12.3 %"
    assert show_share(123.4) == "12,340 %"
    assert show_share(math.nan) == "?"
    assert show_count(1234567) == "1,234,567"
    assert (show_quantile(0.95), show_quantile(0.999)) == ("p95", "p99.9")


def test_durations() -> None:
    assert show_microseconds(2345) == "2.35 ms"
    assert show_microseconds(1.5e7) == "15 s"
    assert show_microseconds(math.nan) == "?"
    assert show_days(0.2, "en") == "1 day"
    assert show_days(3.2, "en") == "4 days"
    assert show_days(3.2, "ja") == "4 日"


def test_bytes() -> None:
    assert [show_bytes(value) for value in (0, 999, 120e6, 5e15)] == ["0 B", "999 B", "120 MB", "5e+03 TB"]
