import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from serve.experiments.errors import FeedbackError
from serve.experiments.request_ids import RequestIds
from serve.experiments.store import bulk_feedback
from serve.experiments.store.bulk_feedback import (
    MAX_LINE,
    BulkReceipt,
    Rows,
    accept_rows,
    parse_feedback,
    read_csv,
    read_json_lines,
    read_parquet,
)
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.feedback import Feedback
from serve.experiments.store.tables import outcomes
from tests.serve.experiments.store.rows import count_rows, read_rows

NOON = 1_795_953_600_000_000  # 2026-11-29 12:00 in UTC


IDS = RequestIds(bytes(32))


def send(store: Store, rows: Rows) -> BulkReceipt:
    return accept_rows(store, rows, IDS, clock=lambda: NOON)


def parse(**changes: Any) -> Feedback:
    return parse_feedback({"request_id": "r", "metric": "m", "value": 1, **changes}, IDS)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-29T12:00:00Z",
        "2026-11-29T21:00:00.000000+09:00",
        1_795_953_600,
        1_795_953_600.0,
        datetime(2026, 11, 29, 12, tzinfo=UTC),
    ],
)
def test_times_are_read_as_people_and_machines_write_them(time: object) -> None:
    assert parse(time=time).at == NOON


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_the_first_and_the_last_time_are_read(time: str) -> None:
    assert abs(parse(time=time).at or 0) > 1e16


@pytest.mark.parametrize("unit", ["u-1", " u-1 "])
def test_units_are_hashed_as_requests_name_them(unit: str) -> None:
    row = {"unit": unit, "metric": "m", "value": 1, "request_id": None}
    assert parse_feedback(row, IDS).unit == IDS.hash_unit("u-1")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "expected an object"),
        ({}, "expected `metric`"),
        ({"metric": "m"}, "expected `value`"),
        ({"metric": "m", "value": "1"}, "a number as value, got `1`"),
        ({"metric": "m", "value": [1]}, "a number as value"),
        ({"metric": 1, "value": 1}, "text as `metric`"),
        ({"metric": "m", "value": 1, "request_id": 5}, "text as `request_id`"),
        ({"metric": "m", "value": 1, "unit": ""}, "a unit as it is named"),
        ({"metric": "m", "value": 1, "unit": {}}, "a unit as it is named"),
        ({"metric": "m", "value": 1, "valeu": 1}, "unknown field `valeu`"),
        ({"metric": "m", "value": 1, "time": "2026-11-29T12:00:00"}, "with its offset"),
        ({"metric": "m", "value": 1, "time": "yesterday"}, "with its offset"),
        ({"metric": "m", "value": 1, "time": 1e300}, "with its offset"),
        ({"metric": "m", "value": 1, "time": float("nan")}, "with its offset"),
        ({"metric": "m", "value": 1, "time": True}, "with its offset"),
    ],
)
def test_a_row_that_says_no_outcome_is_refused_with_the_reason(row: Any, reason: str) -> None:
    with pytest.raises(FeedbackError, match=reason):
        parse_feedback(row, IDS)


def test_json_lines_are_stored_and_what_is_wrong_is_refused_by_line(store: Store) -> None:
    lines = [
        b'{"request_id": "a", "metric": "m", "value": 1}',
        b"",
        b'{"unit": "u", "metric": "m", "value": 2.5, "time": "2026-11-29T11:00:00Z"}',
        b'{"request_id": "b", "metric": "m", "value": NaN}',
        b'{"request_id": "c", "metric": "m"',
        b"[" * 15_000,
        b'"text"',
        b'{"request_id": "d", "metric": "m", "value": ' + b"9" * 5000 + b"}",
        b'{"request_id": "\xff", "metric": "m", "value": 1}',
        b'{"x": "' + b"y" * (3 * MAX_LINE) + b'"}',
        b'{"request_id": "a", "metric": "m", "value": 1}',
        b'{"request_id": "last", "metric": "m", "value": 0}',
    ]
    receipt = send(store, read_json_lines(io.BytesIO(b"\r\n".join(lines))))
    assert (receipt.new, receipt.duplicate, receipt.refused) == (3, 1, 7)
    assert [reason.place for reason in receipt.reasons] == [4, 5, 6, 7, 8, 9, 10]
    assert all(len(reason.reason) < 400 for reason in receipt.reasons)
    names = ("request_id", "value", "event_at")
    expected = [("a", 1.0, NOON), ("last", 0.0, NOON), (None, 2.5, NOON - 3_600_000_000)]
    assert read_rows(store, outcomes, *names) == expected


CSV = """\ufeffrequest_id,unit,metric,value,time
a,,m,1,2026-11-29T11:00:00Z
,"u, 1",m,-2.5e0,1795953600

b,,m,nan,
c,,m,1_0,
d,,m,0x1,
e,,m
"f,,m,1,
g,,m,1,
"""


def test_csv_is_stored_and_what_is_wrong_is_refused_by_line(store: Store) -> None:
    receipt = send(store, read_csv(io.BytesIO(CSV.encode())))
    assert (receipt.new, receipt.duplicate, receipt.refused) == (3, 0, 5)
    assert [reason.place for reason in receipt.reasons] == [5, 6, 7, 8, 9]
    assert {row[0] for row in read_rows(store, outcomes, "unit") if row[0]} == {IDS.hash_unit("u, 1")}


def test_a_quote_that_is_never_closed_costs_one_line() -> None:
    rows = list(read_csv(io.BytesIO(b'request_id,metric,value\n"open\na,m,1\n')))
    assert isinstance(rows[0][1], FeedbackError)
    assert rows[1:] == [(3, {"request_id": "a", "metric": "m", "value": 1.0})]


def test_a_line_of_csv_that_is_too_long_or_not_text_is_refused_and_the_next_is_read() -> None:
    content = b"request_id,metric,value\n" + b"x" * 5 * MAX_LINE + b"\n\xff,m,1\na,m,1\n"
    rows = list(read_csv(io.BytesIO(content)))
    assert [number for number, _ in rows] == [2, 3, 4]
    assert [isinstance(row, FeedbackError) for _, row in rows] == [True, True, False]


@pytest.mark.parametrize(
    "header", ["", "a,b", "metric", "metric,value,value", "metric,value,extra", "x" * 40_000]
)
def test_a_header_that_is_not_ours_is_refused(header: str) -> None:
    with pytest.raises(FeedbackError, match="expected"):
        list(read_csv(io.BytesIO(header.encode())))


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet_is_stored_with_times_in_nanoseconds(store: Store, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    times = pyarrow.array([NOON * 1000 + 1, None, NOON * 1000], pyarrow.timestamp("ns", tz="UTC"))
    columns = {
        "request_id": ["a", "b", None],
        "metric": ["m"] * 3,
        "value": [1.0, float("nan"), 3.0],
        "time": times,
    }
    path = write_parquet(tmp_path / "f", columns)
    with path.open("rb") as stream:
        receipt = send(store, read_parquet(stream))
    assert (receipt.new, receipt.refused) == (1, 2)
    assert read_rows(store, outcomes, "request_id", "event_at") == [("a", NOON)]


def _other_columns(path: Path) -> Path:
    return write_parquet(path, {"a": [1]})


def _no_parquet(path: Path) -> Path:
    path.write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _cut(path: Path) -> Path:
    content = write_parquet(path, {"metric": ["m"] * 100, "value": [1.0] * 100}).read_bytes()
    path.write_bytes(content[20:])
    return path


@pytest.mark.parametrize("make", [_other_columns, _no_parquet, _empty, _cut])
def test_a_file_that_is_not_ours_is_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with make(tmp_path / "f").open("rb") as stream, pytest.raises(FeedbackError, match="expected"):
        list(read_parquet(stream))


def test_a_parquet_file_that_is_damaged_in_the_middle_is_stored_up_to_there(
    store: Store, tmp_path: Path
) -> None:
    keys = [f"{number:032x}" for number in range(3000)]
    columns = {"unit": keys, "metric": ["m"] * 3000, "value": [1.0] * 3000, "idempotency_key": keys}
    path = write_parquet(tmp_path / "f", columns, row_group_size=1000, compression="zstd")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    receipt = send(store, read_parquet(io.BytesIO(content)))
    assert (receipt.new, receipt.duplicate, receipt.refused) == (1000, 0, 1)
    (damage,) = receipt.reasons
    assert damage.place == 1001
    assert damage.reason.startswith("nothing can be read from here on: expected a Parquet file")


def test_row_groups_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_feedback, "MAX_GROUP", 1000)
    columns = {"metric": [f"{n}" for n in range(1000)], "value": [1.0] * 1000}
    path = write_parquet(tmp_path / "f", columns)
    with path.open("rb") as stream, pytest.raises(FeedbackError, match="smaller row_group_size"):
        list(read_parquet(stream))
    with write_parquet(path, columns, row_group_size=10).open("rb") as stream:
        assert len(list(read_parquet(stream))) == 1000


def test_a_file_of_refusals_keeps_a_bounded_number_of_reasons(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    receipt = send(store, read_json_lines(io.BytesIO(b"x\n" * 3000)))
    assert (receipt.refused, len(receipt.reasons)) == (3000, 100)
    assert count_rows(store, outcomes) == 0
    store.close()
