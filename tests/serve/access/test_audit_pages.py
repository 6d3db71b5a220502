import gzip
import json
import os
from pathlib import Path

import pytest

from serve.access import audit_files, audit_pages
from serve.access.audit_pages import AuditAction, AuditFilter, AuditPage, read_audit_page
from serve.access.control import AuditLog
from serve.access.errors import AuditError
from serve.engine.errors import MalformedRequestError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def _line(number: int, **changes: object) -> bytes:
    content = {
        "time": f"2026-01-01T00:00:{number % 60:02}",
        "caller": "ops",
        "action": f"POST /{number}",
        "status": 200,
        "request_id": f"r-{number}",
    }
    return json.dumps(content | changes).encode() + b"\n"


def _read_all(path: Path, most: int) -> tuple[list[AuditAction], int]:
    """All entries and the number of damaged lines, page by page."""
    entries, damaged, page = [], 0, read_audit_page(path, most)
    for _ in range(10_000):
        entries += page.entries
        damaged += page.damaged
        if page.next is None:
            return entries, damaged
        page = read_audit_page(path, most, page.next)
    raise AssertionError("the pages do not end")


def test_what_was_recorded_is_read_back_the_newest_first(path: Path) -> None:
    log = AuditLog(path)
    log.begin("ops", "POST /a", "r-1")
    log.record("ops", "POST /a", 200, "r-1")
    log.record("10.0.0.1", "POST /b\udcff\n", 401, "r-2")
    page = log.read(100)
    log.close()
    assert [(each.caller, each.action, each.outcome) for each in page.entries] == [
        ("10.0.0.1", "POST /b?\n", "refused"),
        ("ops", "POST /a", "done"),
    ]
    assert (page.next, page.damaged) == (None, 0)


@pytest.mark.parametrize("most", [1, 2, 3, 7, 500])
@pytest.mark.parametrize("piece", [64, 200, 64 * 1024])
def test_pages_are_all_lines_once(path: Path, monkeypatch: pytest.MonkeyPatch, most: int, piece: int) -> None:
    monkeypatch.setattr(audit_pages, "PIECE_BYTES", piece)
    path.write_bytes(b"".join(map(_line, range(23))))
    entries, damaged = _read_all(path, most)
    assert [entry.request_id for entry in entries] == [f"r-{number}" for number in reversed(range(23))]
    assert damaged == 0


@pytest.mark.parametrize("piece", [64, 64 * 1024])
@pytest.mark.parametrize(
    "damage",
    [
        b"no json\n",
        b'{"time": "2026"\n',
        b"[1, 2]\n",
        b"\xff\xfe\x00\n",
        b"[" * 5000 + b"\n",
        _line(9, status="200"),
        _line(9, status=True),
        _line(9, status=10**400),
        _line(9, caller=None),
        _line(9, action="x" * 20_000),
    ],
)
def test_damaged_lines_are_counted_and_left_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, damage: bytes
) -> None:
    monkeypatch.setattr(audit_pages, "PIECE_BYTES", piece)
    path.write_bytes(_line(1) + b"\n\n" + damage + _line(2))
    entries, damaged = _read_all(path, 100)
    assert [entry.request_id for entry in entries] == ["r-2", "r-1"]
    assert damaged == 1


def test_a_line_that_is_torn_at_the_end_is_damaged(path: Path) -> None:
    path.write_bytes(_line(1) + _line(2)[:20])
    assert [(entry.request_id) for entry in read_audit_page(path, 10).entries] == ["r-1"]


@pytest.mark.parametrize("filling", [b"\n", b"x", b"x\n"])
def test_a_page_reads_no_more_than_its_bound(
    path: Path, monkeypatch: pytest.MonkeyPatch, filling: bytes
) -> None:
    monkeypatch.setattr(audit_pages, "PIECE_BYTES", 1000)
    monkeypatch.setattr(audit_pages, "MOST_BYTES", 5000)
    monkeypatch.setattr(audit_pages, "ANSWERS_BYTES", 1000)
    path.write_bytes(_line(1) + filling * 50_000 + b"\n" + _line(2))
    page = read_audit_page(path, 10)
    assert [entry.request_id for entry in page.entries] == ["r-2"]
    assert page.next is not None
    left = int(page.next.partition("-")[2], 16)
    assert path.stat().st_size - left < 7000
    assert [entry.request_id for entry in _read_all(path, 10)[0]] == ["r-2", "r-1"]


def test_a_log_that_was_moved_away_is_empty_and_its_places_are_none(path: Path) -> None:
    path.write_bytes(_line(1) + _line(2))
    place = read_audit_page(path, 1).next
    assert place is not None
    path.rename(path.with_name("elsewhere"))
    assert read_audit_page(path, 10) == AuditPage([], None)
    path.write_bytes(b"")
    with pytest.raises(MalformedRequestError, match="moved away"):
        read_audit_page(path, 1, place)


def _rotate(path: Path, name: str, content: bytes, age: int) -> Path:
    moved = path.with_name(name)
    moved.write_bytes(content)
    os.utime(moved, (1_700_000_000 - age, 1_700_000_000 - age))
    return moved


@pytest.mark.parametrize("most", [1, 4, 500])
def test_files_that_were_moved_away_are_read_on(path: Path, most: int) -> None:
    path.write_bytes(_line(9) + _line(10))
    _rotate(path, "audit.jsonl.1", _line(7) + _line(8), 1)
    _rotate(path, "audit-20260101.jsonl", b"", 2)
    _rotate(path, "audit.jsonl-20251231.gz", gzip.compress(_line(5) + _line(6)), 3)
    _rotate(path, "audit.jsonl.1.bak", _line(1), 0)
    _rotate(path, "audit.jsonl.2", b"", 0).unlink()
    path.with_name("audit.jsonl.2").symlink_to("/etc/passwd")
    path.with_name("audit.jsonl.3").mkdir()
    entries, damaged = _read_all(path, most)
    assert [entry.request_id for entry in entries] == [f"r-{number}" for number in range(10, 4, -1)]
    assert damaged == 0


def test_a_place_goes_with_the_file_that_is_moved_away(path: Path) -> None:
    path.write_bytes(_line(1) + _line(2))
    place = read_audit_page(path, 1).next
    assert place is not None
    path.rename(path.with_name("audit.jsonl.1"))
    path.write_bytes(_line(3))
    assert [entry.request_id for entry in read_audit_page(path, 9, place).entries] == ["r-1"]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_an_action_is_joined_with_its_answer_wherever_it_stands(path: Path, most: int) -> None:
    opened = [_line(number, status=None) for number in range(6)]
    answers = [_line(number, status=204) for number in range(5)]
    _rotate(path, "audit.jsonl.1", b"".join(opened[:3] + answers[:2] + opened[3:5]), 1)
    path.write_bytes(answers[4] + answers[2] + opened[5] + answers[3])
    entries, _ = _read_all(path, most)
    found = {entry.request_id: entry.outcome for entry in entries}
    assert len(entries) == len(found) == 6
    assert found == {**{f"r-{number}": "done" for number in range(5)}, "r-5": "unanswered"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AuditFilter("OPS /1"), ["r-19", "r-18", "r-11"]),
        (AuditFilter("r-7"), ["r-7"]),
        (AuditFilter("ops nobody"), []),
        (AuditFilter(outcome="failed"), ["r-8"]),
        (AuditFilter("1", "refused"), ["r-18"]),
    ],
)
def test_a_filter_finds_what_is_in_any_file(path: Path, wanted: AuditFilter, found: list[str]) -> None:
    statuses = {8: 404, 18: 403}
    path.write_bytes(b"".join(_line(n, status=statuses.get(n, 200)) for n in (18, 19)))
    _rotate(path, "audit.jsonl.1", b"".join(_line(n, status=statuses.get(n, 200)) for n in (7, 8, 11)), 1)
    page = read_audit_page(path, 100, wanted=wanted)
    assert [entry.request_id for entry in page.entries] == found
    assert page.reached == "2026-01-01T00:00:07"


@pytest.mark.parametrize("bound", [("MOST_BYTES", 20_000), ("MOST_LINES", 200)])
def test_what_a_filter_looks_through_for_a_page_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch, bound: tuple[str, int]
) -> None:
    monkeypatch.setattr(audit_pages, *bound)
    path.write_bytes(_line(1, caller="rare") + b"".join(map(_line, range(2, 300))))
    page = read_audit_page(path, 100, wanted=AuditFilter("rare"))
    assert page.entries == []
    assert page.next is not None
    page = read_audit_page(path, 100, page.next, AuditFilter("rare"))
    assert [entry.request_id for entry in page.entries] == ["r-1"]


def test_a_file_that_cannot_be_read_whole_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_files, "LARGEST_EXPANDED", 1000)
    path.write_bytes(_line(3))
    _rotate(path, "audit.jsonl.1.gz", gzip.compress(_line(1) * 100), 1)
    _rotate(path, "audit.jsonl.2.gz", b"no gzip", 2)
    page = read_audit_page(path, 100)
    assert page.unread == ["audit.jsonl.1.gz", "audit.jsonl.2.gz"]
    assert [entry.request_id for entry in page.entries] == ["r-3", *["r-1"] * (1000 // len(_line(1)))]


@pytest.mark.parametrize(
    "before", ["x", "1", "-", "1-", "-1", "1-2-3", "0x1-1", "1-1\n", "１-１", "f" * 17 + "-1"]
)
def test_a_place_that_no_answer_has_named_is_refused(path: Path, before: str) -> None:
    path.write_bytes(_line(1))
    with pytest.raises(MalformedRequestError):
        read_audit_page(path, 1, before)


def test_a_compressed_file_of_several_parts_is_read_to_its_end(path: Path) -> None:
    path.write_bytes(_line(3))
    parts = gzip.compress(_line(1)) + gzip.compress(_line(2))
    _rotate(path, "audit.jsonl.1.gz", parts, 1)
    _rotate(path, "audit.jsonl.2.gz", parts[:-4], 2)
    page = read_audit_page(path, 100)
    assert [entry.request_id for entry in page.entries] == ["r-3", "r-2", "r-1", "r-2", "r-1"]
    assert page.unread == ["audit.jsonl.2.gz"]  # whose end is not there


def test_of_too_many_files_the_newest_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_files, "MOST_FILES", 2)
    path.write_bytes(_line(0))
    for age in range(1, 21):
        _rotate(path, f"audit.jsonl.{age}", _line(age), age)
    page = read_audit_page(path, 100)
    assert [entry.request_id for entry in page.entries] == ["r-0", "r-1", "r-2"]


@pytest.mark.parametrize(
    ("place", "message"), [(f"{10**6:x}", "moved away"), ("f" * 16, "`next` of an earlier")]
)
def test_a_place_behind_the_end_is_refused(path: Path, place: str, message: str) -> None:
    path.write_bytes(_line(1))
    with pytest.raises(MalformedRequestError, match=message):
        read_audit_page(path, 1, f"{path.stat().st_ino:x}-{place}")


def test_what_is_no_file_is_not_waited_for(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)
    for other in (path, tmp_path):
        with pytest.raises(AuditError, match=r"cannot be read|no file"):
            read_audit_page(other, 1)
