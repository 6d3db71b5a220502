import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.console.conftest import go, list_serious
from tests.serve.process import ServerProcess
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=\"document.title='harmed'\">"


@pytest.fixture(scope="module")
def log(server: ServerProcess, folder: Path) -> Path:
    """The audit log, with 250 actions of somebody else, and then some on this server."""
    path = folder.parent / "audit.jsonl"
    with path.open("a") as file:
        for number in range(250):
            line = {"time": "2026-01-01T00:00:00+00:00", "caller": f"caller-{number}", "request_id": "old"}
            file.write(json.dumps(line | {"action": "POST /v2/logging", "status": 200}) + "\n")
        file.write("{damaged\n")
    assert httpx.put(f"{server.url}/adaptact/v1/models/spare/aliases/best", json={"version": "1"}).is_success
    assert httpx.post(f"{server.url}/v2/repository/models/{HOSTILE}/load").status_code == 404
    foreign = {"Origin": "https://evil.example"}
    assert httpx.post(f"{server.url}/v2/logging", headers=foreign).status_code == 403
    return path


def _rows(page: Any) -> list[str]:
    texts: list[str] = page.locator("tbody tr").all_inner_texts()
    return texts


def test_it_shows_each_action_once_with_its_outcome(page: Any, log: Path) -> None:
    go(page, "audit")
    refused, failed, done, *_ = _rows(page)
    assert "change the log settings" in refused
    assert "refused 403" in refused
    assert f"load {HOSTILE}" in failed
    assert "failed 404" in failed
    assert "set the alias best of spare" in done
    assert "PUT /adaptact/v1/models/spare/aliases/best" in done
    assert "done 200" in done
    assert "127.0.0.1" in done
    assert page.locator("main img").count() == 0
    assert page.title() == "Audit · adaptact"
    assert "damaged lines, left out: 1" in page.locator("main").inner_text()


def test_it_is_filtered_by_text_and_by_outcome(page: Any, log: Path) -> None:
    go(page, "audit")
    page.get_by_label("Filter by caller").fill("ALIAS BEST")
    until(lambda: len(_rows(page)) == 1)
    page.get_by_label("Outcome").select_option("refused")
    page.get_by_text("No action is like this.").wait_for()
    page.get_by_label("Filter by caller").fill("")
    page.locator("tbody tr").first.wait_for()
    assert all("refused" in row for row in _rows(page))


def test_a_filter_finds_what_is_in_a_file_that_was_moved_away(page: Any, log: Path) -> None:
    hostile = {"time": "\u202enever", "caller": "\u202eevil\u200b", "action": HOSTILE, "status": 200}
    moved = log.with_name(f"{log.name}.1")
    moved.write_text(json.dumps(hostile | {"request_id": "r"}) + "\n" + "{\x00\n" * 3000)
    go(page, "audit")
    page.get_by_label("Filter by caller").fill("evil img")
    until(lambda: len(_rows(page)) == 1)
    assert HOSTILE in _rows(page)[0]
    assert "\ufffdevil\ufffd" in _rows(page)[0]
    assert "\ufffdnever" in _rows(page)[0]
    assert page.locator("main img").count() == 0
    moved.unlink()


def test_older_actions_come_when_they_are_asked_for(page: Any, log: Path) -> None:
    go(page, "audit")
    assert len(_rows(page)) == 200
    page.get_by_role("button", name="Show older ones").click()
    until(lambda: len(_rows(page)) > 250)
    texts = page.locator("tbody tr").all_inner_texts()
    callers = [text for text in texts if "caller-" in text]
    assert len(callers) == 250


def test_axe_finds_nothing_serious(page: Any, log: Path, axe: Any) -> None:
    for colours, width in (("light", 1280), ("dark", 400)):
        page.emulate_media(color_scheme=colours)
        page.set_viewport_size({"width": width, "height": 900})
        go(page, "audit")
        assert list(list_serious(axe, page)) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
