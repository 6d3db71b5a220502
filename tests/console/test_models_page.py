from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import go
from tests.serve.process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _row(page: Any, model: str) -> Any:
    return page.locator("tbody", has=page.get_by_role("link", name=model, exact=True))


def test_it_lists_versions_with_their_state_names_and_evidence(page: Any) -> None:
    go(page, "models")
    scores = _row(page, "scores").locator("tr")
    assert scores.count() == 2
    assert "default" not in scores.nth(0).inner_text()
    for word in ("ready", "default", "weak", "unsigned", "cpu"):
        assert word in scores.nth(1).inner_text()
    assert "not ready" in _row(page, "broken").inner_text()
    assert "no evidence" in _row(page, "spare").inner_text()


def test_the_filter_leaves_the_models_of_this_name(page: Any) -> None:
    go(page, "models")
    page.get_by_label("Filter by name").fill("SPAR")
    assert page.locator("tbody").count() == 1
    page.get_by_label("Filter by name").fill("nothing")
    assert "No model has a name like this" in page.locator("main").inner_text()


def test_unloading_asks_first_and_loading_brings_it_back(page: Any) -> None:
    go(page, "models")
    page.get_by_role("button", name="Unload spare").click()
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("dialog").count() == 0
    assert "not ready" not in _row(page, "spare").inner_text()
    page.get_by_role("button", name="Unload spare").click()
    page.get_by_role("dialog").get_by_role("button", name="Unload").click()
    _row(page, "spare").get_by_text("not ready").wait_for()
    page.get_by_role("button", name="Load spare").click()
    page.get_by_role("dialog").get_by_role("button", name="Load").click()
    _row(page, "spare").locator(".badge-good").wait_for()
    assert page.get_by_role("status").filter(has_text="spare is loaded").count() == 1


def test_an_alias_is_set_and_removed(page: Any) -> None:
    go(page, "models")
    _choose_alias(page, "canary", "1", "Set the alias")
    _row(page, "scores").locator("tr").nth(0).get_by_text("canary").wait_for()
    _choose_alias(page, "canary", "", "Remove the alias")
    _row(page, "scores").get_by_text("canary").wait_for(state="detached")


def _choose_alias(page: Any, alias: str, version: str, action: str) -> None:
    page.get_by_role("button", name="Aliases of scores").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Alias").fill(alias)
    dialog.get_by_label("Version").select_option(version)
    dialog.get_by_role("button", name=action).click()
    dialog.wait_for(state="detached")


def test_a_refused_action_says_why_and_leaves_the_dialog(page: Any, folder: Path) -> None:
    go(page, "models")
    page.get_by_role("button", name="Load broken").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Load").click()
    dialog.get_by_role("alert").wait_for()
    assert "ONNX Runtime cannot load it" in dialog.get_by_role("alert").inner_text()
    assert "POST /v2/repository/models/broken/load" in dialog.get_by_role("alert").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog").count() == 0
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "Load broken"


def test_what_the_server_refuses_is_told_in_japanese(page: Any) -> None:
    go(page, "models")
    page.get_by_label("Language").select_option("ja")
    page.get_by_role("button", name="broken を読み込む").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("button[type=submit]").click()
    what = dialog.get_by_role("alert").locator(".failure-what")
    assert (
        what.inner_text()
        == "モデル `broken` のバージョン `1` は読み込めません：ONNX Runtime が読み込めません"
    )
    lacks = {"error": "the key `ops` does not have the role `admin`", "key": "ops", "role": "admin"}
    page.route("**/load", lambda route: route.fulfill(status=403, json=lacks))
    dialog.locator("button[type=submit]").click()
    page.get_by_text("キー ops にはロール admin がありません。").wait_for()
    page.unroute("**/load")


def test_a_server_that_does_not_answer_is_told(page: Any, server: ServerProcess) -> None:
    page.route("**/adaptact/v1/models", lambda route: route.abort())
    go(page, "models")
    assert "the server did not answer" in page.get_by_role("alert").inner_text()
    page.unroute("**/adaptact/v1/models")
    page.get_by_role("button", name="Try again").click()
    _row(page, "scores").wait_for()


@pytest.mark.parametrize("script", ["audit.js", "audit/actions.js"])
def test_a_page_whose_script_does_not_come_is_told_and_comes_when_tried_again(page: Any, script: str) -> None:
    go(page, "models")
    page.route(f"**/pages/{script}", lambda route: route.abort())
    page.get_by_role("link", name="Audit").click()
    page.get_by_role("alert").wait_for()
    assert "the server did not answer" in page.get_by_role("alert").inner_text()
    page.unroute(f"**/pages/{script}")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("heading", name="Audit").wait_for()
    assert page.get_by_role("alert").count() == 0


def test_an_address_without_a_page_says_so_in_the_title_too(page: Any) -> None:
    go(page, "models")
    page.evaluate("location.hash = '#/nowhere'")
    page.get_by_role("heading", name="There is no such page").wait_for()
    assert page.title() == "There is no such page · adaptact"
    page.get_by_role("link", name="To the first page").click()
    page.get_by_role("heading", name="Models").wait_for()
