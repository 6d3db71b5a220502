import json
from pathlib import Path

import pytest

from serve.engine.errors import StartupError
from serve.observe.access_log import STANDARD_OUTPUT, AccessLog, Identity, identify_request

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ASKED = ("GET", "/v2")


def identified(**headers: str) -> Identity:
    return identify_request(
        (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()
    )


def test_a_client_may_choose_the_request_id() -> None:
    found = identified(x_request_id="job-7/part:3", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert (found.request_id, found.trace_id, found.parent_id) == ("job-7/part:3", TRACE, SPAN)


def test_a_request_without_an_id_has_its_traces_or_a_new_one() -> None:
    assert identified(traceparent=f"00-{TRACE}-{SPAN}-00").request_id == TRACE
    assert len({identified().request_id for _ in range(100)}) == 100


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"b', "a\x1b[31m", "é", "a\tb"])
def test_an_id_that_a_log_should_not_hold_is_not_taken(given: str) -> None:
    assert identified(x_request_id=given).request_id != given


# Examples of the specification's section 3.2, and what it calls invalid.
@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        ("", False),
    ],
)
def test_a_trace_is_taken_only_as_the_standard_writes_it(given: str, is_taken: bool) -> None:
    found = identified(traceparent=given)
    assert (found.trace_id == TRACE) == is_taken
    assert (found.parent_id == SPAN) == is_taken


def test_every_request_is_one_line_whatever_its_path_holds(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    log = AccessLog(path)
    for asked in ("/v2", '/v2/models/a\nb"c', "/" + "x" * 10_000):
        one = identified(traceparent=f"00-{TRACE}-{SPAN}-01")
        log.record(("GET", asked), one, "line-3", 200, 0.0123456)
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["path"] for line in lines[:2]] == ["/v2", '/v2/models/a\nb"c']
    assert len(lines[2]["path"]) < 1000
    assert lines[0].items() >= {"status": 200, "milliseconds": 12.346, "caller": "line-3"}.items()
    assert lines[0].items() >= {"request_id": TRACE, "trace_id": TRACE, "parent_id": SPAN}.items()


def test_standard_output_is_written_to_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    AccessLog(STANDARD_OUTPUT).record(ASKED, identified(), "somebody", 404, 0.0)
    assert json.loads(capfd.readouterr().out)["status"] == 404


def test_a_file_that_cannot_be_written_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        AccessLog(tmp_path / "missing" / "access.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_loses_lines_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog(Path("/dev/full"))
    for _ in range(3):
        log.record(ASKED, identified(), "somebody", 200, 0.0)
    log.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "No space left on device" in caplog.text


def test_two_processes_can_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    one, other = AccessLog(path), AccessLog(path)
    for log in (one, other, one):
        log.record(ASKED, identified(), "somebody", 200, 0.0)
    one.close()
    other.close()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.observe.access_log.LOOK_SECONDS", 0.0)
    path = tmp_path / "access.jsonl"
    log = AccessLog(path)
    path.rename(tmp_path / "access.1")
    for _ in range(2):
        log.record(ASKED, identified(), "somebody", 200, 0.0)
    (tmp_path / "access.jsonl").replace(tmp_path / "access.2")
    path.touch()
    log.record(ASKED, identified(), "somebody", 200, 0.0)
    log.close()
    assert (tmp_path / "access.1").read_text() == ""
    assert len((tmp_path / "access.2").read_text().splitlines()) == 2
    assert len(path.read_text().splitlines()) == 1
