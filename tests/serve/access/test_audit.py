import json
import logging
from datetime import datetime
from pathlib import Path

import pytest

from serve.access.audit import AuditLog
from serve.engine.errors import StartupError


def test_every_action_is_a_line_that_says_who_what_and_how_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"older": true}\n')
    audit = AuditLog(path)
    audit.record("ops", "POST /v2/repository/models/m/load", 200, "r-1")
    audit.record("10.0.0.7", "PUT /a\nb", 403, "r-2")
    audit.close()
    older, first, second = map(json.loads, path.read_text().splitlines())
    assert older == {"older": True}
    assert first.items() >= {"caller": "ops", "status": 200, "request_id": "r-1"}.items()
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert second["action"] == "PUT /a\nb"  # and yet one line


def test_without_a_file_the_servers_log_has_the_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "adaptact.audit"):
        AuditLog().record("ops", "DELETE /x", 404, "r-3")
    assert json.loads(caplog.messages[0])["action"] == "DELETE /x"


def test_a_file_that_cannot_be_written_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        AuditLog(tmp_path / "missing" / "audit.jsonl")


def test_a_new_file_is_begun_where_the_old_was_moved_away(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    audit = AuditLog(path)
    audit.record("ops", "one", 200, "r-1")
    path.rename(moved)
    audit.record("ops", "two", 200, "r-2")
    audit.close()
    assert [json.loads(each.read_text())["action"] for each in (moved, path)] == ["one", "two"]


def test_a_line_that_cannot_be_written_is_in_the_servers_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    audit = AuditLog(folder / "audit.jsonl")
    folder.rename(tmp_path / "moved")
    audit.record("ops", "one", 200, "r-1")
    audit.close()
    assert "the audit log cannot be written (No such file or directory)" in caplog.text
    assert '"action": "one"' in caplog.text
