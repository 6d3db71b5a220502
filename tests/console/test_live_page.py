import json
from typing import Any

import pytest

from tests.console.conftest import go
from tests.serve.process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AGAIN = "text => document.querySelector('.page-heading .note').innerText !== text"


def _note(page: Any) -> str:
    return str(page.locator(".page-heading .note").inner_text())


def _ask(page: Any, server: ServerProcess, times: int) -> None:
    body = json.dumps({"instances": [[1, 2, 3, 4]]})
    for _ in range(times):
        assert page.request.post(f"{server.url}/v1/models/scores:predict", data=body).ok


def test_requests_come_into_the_table_and_the_charts(page: Any, server: ServerProcess) -> None:
    go(page, "live")
    row = page.locator("tbody tr", has_text="scores").filter(has_text="2")
    row.wait_for()
    assert page.locator(".line-chart canvas").count() == 6
    page.get_by_label("Draw scores 2").check()
    # The table and the chart show the same second, and only one of them has the requests.
    seen = page.evaluate_handle(
        """() => {
          const seen = new Set();
          new MutationObserver(() => {
            const cells = [...document.querySelectorAll("tbody tr")].map((row) => row.innerText.split("\\t"));
            const all = cells.find((row) => row.includes("All together"));
            seen.add(`${document.querySelector("figcaption .note").innerText} ${all[3]}`);
          }).observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true });
          return seen;
        }"""
    )
    _ask(page, server, 20)
    page.wait_for_function("seen => [...seen].some((pair) => !pair.startsWith('0 '))", arg=seen)
    pairs = [pair.split() for pair in seen.evaluate("seen => [...seen]")]
    assert any(chart == table != "0" for chart, table in pairs)


def test_a_pause_holds_the_figures_and_lets_the_stream_go(page: Any) -> None:
    go(page, "live")
    page.locator(".line-chart").first.wait_for()
    page.get_by_role("button", name="Pause").click()
    assert _note(page).startswith("Paused at")
    paused = _note(page)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_function(AGAIN, arg=paused)
    assert _note(page).startswith("The last ten minutes")


def test_a_stream_that_breaks_off_is_told_and_comes_back(page: Any) -> None:
    page.route("**/adaptact/v1/live", lambda route: route.abort())
    page.goto("/console#/live")
    page.get_by_role("alert").wait_for()
    assert "the server did not answer" in page.get_by_role("alert").inner_text()
    page.unroute("**/adaptact/v1/live")
    page.locator(".line-chart").first.wait_for()
    assert page.get_by_role("alert").count() == 0


def test_a_stream_that_falls_silent_is_given_up_and_asked_for_again(page: Any) -> None:
    page.clock.install()
    page.route("**/adaptact/v1/live", lambda route: None)  # which never answers
    page.goto("/console#/live")
    page.get_by_text("Loading…").wait_for()
    page.clock.fast_forward(20_000)
    page.get_by_role("alert").wait_for()
    page.unroute("**/adaptact/v1/live")
    page.clock.fast_forward(5_000)
    page.locator(".line-chart").first.wait_for()
