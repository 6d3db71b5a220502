import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.console.conftest import go, list_serious
from tests.console.units import HOSTILE_REASON, HOSTILE_UNIT, MODEL, NAME, act, ask, run_experiment
from tests.serve.process import ServerProcess
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def url(server: ServerProcess, folder: Path) -> str:
    """The server, whose experiment has met units and was looked at once."""
    run_experiment(server.url, folder)

    def has_look() -> bool:
        looks = httpx.get(f"{server.url}/adaptact/v1/experiments/{NAME}/looks").json()["looks"]
        return any(metric["effect"] is not None for look in looks for metric in look["results"]["metrics"])

    until(has_look)
    return server.url


def _read(url: str) -> Any:
    with httpx.Client(base_url=url) as client:
        return ask(client, "GET", f"/adaptact/v1/experiments/{NAME}")


def _card(page: Any, heading: str) -> Any:
    return page.locator("section.card", has=page.get_by_role("heading", name=heading, exact=True))


def _stage(page: Any) -> Any:
    return page.locator(".model-badges .badge")


def test_the_list_leads_to_what_an_experiment_shows(page: Any, url: str) -> None:
    go(page, "experiments")
    row = page.get_by_role("row", name=NAME)
    for word in ("ramp 100 %", MODEL, "today · learned", "all of them"):
        assert word in row.inner_text()
    page.get_by_role("link", name=NAME).click()
    page.get_by_role("heading", name="Verdict").wait_for()
    assert "accepted is" in _card(page, "Verdict").inner_text()
    drawn = _card(page, "Effect over time").get_by_role("img").get_attribute("aria-label")
    assert drawn.startswith("accepted: the last effect is +")
    assert "fine" in _card(page, "Guardrails").inner_text()
    costs = _card(page, "Effect and cost").get_by_role("row", name="learned").inner_text()
    assert "pp" in costs
    assert "ms" in costs or "μs" in costs or "µs" in costs
    assert "The units are in the designed shares." in _card(page, "Exposures").inner_text()
    assert _card(page, "Phases").locator("tbody tr").count() == 4
    now = page.locator(".way .is-now").inner_text()
    assert now == "100 %"


def test_what_people_wrote_stays_text(page: Any, url: str) -> None:
    go(page, f"experiments/{NAME}")
    assert HOSTILE_REASON in _card(page, "Audit trail").inner_text()
    assert HOSTILE_REASON in _card(page, "Phases").inner_text()
    assert HOSTILE_UNIT in _card(page, "What is compared").inner_text()
    assert page.locator("main img, main b").count() == 0
    assert page.title() == f"{NAME} · adaptact"


def test_a_pause_says_what_it_does_and_happens_once_it_is_confirmed(page: Any, url: str) -> None:
    go(page, f"experiments/{NAME}")
    page.get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog")
    assert "answered as without the experiment, by today" in dialog.inner_text()
    dialog.get_by_role("button", name="Cancel").click()
    assert _read(url)["phase"]["stage"] == "ramp"
    page.get_by_role("button", name="Pause").click()
    dialog.get_by_label("Reason").fill("a <i>holiday</i>")
    dialog.get_by_role("button", name="Pause").click()
    _stage(page).get_by_text("paused").wait_for()
    assert _read(url)["phase"]["reason"] == "a <i>holiday</i>"
    assert "a <i>holiday</i>" in _card(page, "Audit trail").inner_text()
    page.get_by_role("button", name="Resume").click()
    assert "100 % of the units are enrolled: 50 % get" in dialog.inner_text()
    dialog.get_by_role("button", name="Resume").click()
    _stage(page).get_by_text("ramp").wait_for()
    assert _read(url)["phase"]["stage"] == "ramp"


def test_an_unknown_experiment_is_asked_for_once(page: Any, url: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    go(page, "experiments/nothing")
    assert "There is no experiment of this name." in page.locator("main").inner_text()
    assert len([url for url in asked if "/v1/experiments/" in url]) == 1
    page.get_by_role("link", name="To all experiments").click()
    page.get_by_role("link", name=NAME).wait_for()


def test_who_may_only_read_is_offered_no_act(page: Any, url: str) -> None:
    reader = {"name": "eye", "roles": ["infer", "metrics"], "has_key": True, "needs_key": True}
    body = json.dumps(reader | {"experiments": True, "audit": True})
    page.route("**/adaptact/v1/me", lambda route: route.fulfill(body=body, content_type="application/json"))
    go(page, f"experiments/{NAME}")
    assert page.locator(".page-actions button").count() == 0
    assert page.get_by_role("link", name="Audit").count() == 0
    assert _card(page, "Plan").get_by_role("button", name="Plan").count() == 1


def test_it_is_all_in_japanese(page: Any, url: str) -> None:
    go(page, f"experiments/{NAME}")
    page.get_by_label("Language").select_option("ja")
    page.get_by_role("heading", name="判定").wait_for()
    assert "accepted は learned で" in _card(page, "判定").inner_text()
    for heading in page.locator("main h2").all_inner_texts():
        assert not heading.isascii()
    page.get_by_role("button", name="一時停止").click()
    dialog = page.get_by_role("dialog")
    assert "すべてのユニットに" in dialog.inner_text()
    with httpx.Client(base_url=url) as client:  # somebody else is faster
        act(client, "pause", "")
        dialog.locator("button[type=submit]").click()
        told = dialog.get_by_role("alert").locator(".failure-what").inner_text()
        act(client, "resume", "")
    assert told.startswith(
        f"実験 `{NAME}` では `pause` を行えません。段階：`paused`、ステップ 100 %。今できること："
    )


@pytest.mark.parametrize("place", ["experiments", f"experiments/{NAME}", "plan"])
def test_axe_finds_nothing_serious(page: Any, url: str, axe: Any, place: str) -> None:
    for colours, width in (("light", 1280), ("dark", 400)):
        page.emulate_media(color_scheme=colours)
        page.set_viewport_size({"width": width, "height": 900})
        go(page, place)
        assert list(list_serious(axe, page)) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_experiment_is_planned_defined_and_started(page: Any, url: str) -> None:
    go(page, "experiments")
    page.get_by_role("link", name="Plan an experiment").click()
    page.get_by_label("Name of the experiment").fill("second-try")
    page.get_by_label("Model", exact=True).select_option(MODEL)
    page.get_by_label("Metric that decides").fill("accepted")
    page.get_by_label("Units a day").fill("500")
    page.get_by_role("button", name="Plan").click()
    planned = _card(page, "What it will show")
    planned.get_by_role("heading", name="The plan").wait_for()
    assert "Days until they are reached\n10" in planned.inner_text()
    assert planned.get_by_role("row", name="error rate").count() == 1
    page.get_by_role("button", name="Define as a draft").click()
    page.get_by_role("dialog").get_by_role("button", name="Define").click()
    page.get_by_role("heading", name="second-try").wait_for()
    _stage(page).get_by_text("draft").wait_for()
    page.get_by_role("button", name="Start").click()
    dialog = page.get_by_role("dialog")
    assert "v1 goes on answering everybody" in dialog.inner_text()
    dialog.get_by_role("button", name="Start").click()
    # Another experiment on the model has all units: the server says so, and nothing is lost.
    assert NAME in dialog.get_by_role("alert").inner_text()
    dialog.get_by_role("button", name="Cancel").click()
    assert "draft" in _stage(page).inner_text()


def test_a_stop_is_the_roll_back_and_a_promotion_warns_where_the_verdict_is_not_better(
    page: Any, url: str
) -> None:
    go(page, f"experiments/{NAME}")
    is_better = "better" in _card(page, "Verdict").locator(".badge").inner_text()
    page.get_by_role("button", name="Promote").click()
    dialog = page.get_by_role("dialog")
    assert f"the alias stable of {MODEL} is pointed at it" in dialog.inner_text()
    assert ("The verdict is not better" in dialog.inner_text()) is not is_better
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop: roll back").click()
    assert "this is the roll-back" in dialog.inner_text()
    dialog.get_by_role("button", name="Stop: roll back").click()
    _stage(page).get_by_text("stopped").wait_for()
    assert _read(url)["phase"]["stage"] == "stopped"
    assert page.get_by_role("button", name="Start").count() == 1
