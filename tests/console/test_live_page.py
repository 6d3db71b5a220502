import json
from typing import Any

import pytest

from tests.console.conftest import go
from tests.serve.process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_SCORES = {
    "model": "scores",
    "version": "2",
    "codes": {"200": 10},
    "rows": 10,
    "runs": 5,
    "queue": 0,
    "running": 0,
    "latency": [10],
}
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
    page.get_by_role("alert").wait_for(state="detached")
    page.locator(".line-chart").first.wait_for()


def test_a_stream_that_falls_silent_is_given_up_and_asked_for_again(page: Any) -> None:
    page.clock.install()
    page.route("**/adaptact/v1/live**", lambda route: None)  # which never answers
    page.goto("/console#/live")
    page.get_by_text("Loading…").wait_for()
    page.clock.fast_forward(20_000)
    page.get_by_role("alert").wait_for()
    page.unroute("**/adaptact/v1/live**")
    page.clock.fast_forward(5_000)
    page.locator(".line-chart").first.wait_for()


_HISTORY = {
    "latency_ends": [0.001, 0.002, 0.004],
    "variant_latency_ends": [1.0],
    "more": False,
    "entries": [
        {
            "at": at,
            "seconds": 5.0,
            "memory": 1,
            "processor": 2.5,
            "rejected": {},
            "models": [] if at % 10_000 else [_SCORES],
            "variants": [],
        }
        for at in range(1_000_000_000, 1_003_600_000, 5000)
    ],
}


def test_what_was_before_the_page_was_opened_is_drawn(page: Any) -> None:
    page.goto("/console/index.html")
    times, requests, gaps = page.evaluate(
        """async (page) => {
          const { rateEntry } = await import("/console/pages/live/rates.js");
          const { History } = await import("/console/pages/live/history.js");
          const history = new History();
          for (const entry of page.entries) history.push(rateEntry(entry, page));
          history.push({ ...rateEntry({ ...page.entries[0], at: 1003597000 }, page) });
          return [history.times.length, history.values("version scores 2", "requests").slice(-5),
                  history.times.filter((time, place) => place && time - history.times[place - 1] > 5).length];
        }""",
        _HISTORY,
    )
    assert (times, requests, gaps) == (721, [2, 0, 2, 0, 2], 0)


def test_an_open_page_keeps_an_hour_of_seconds_small(page: Any) -> None:
    page.goto("/console/index.html")
    kept = page.evaluate(
        """async () => {
          const { History } = await import("/console/pages/live/history.js");
          const history = new History();
          const line = { requests: 1, errors: 0, queue: 0, batch: 1, p50: 1, p99: 1 };
          const rates = (at) => ({ at, memory: 1, processor: 1, lines: new Map([["all", line]]) });
          for (let at = 1; at <= 8000; at += 1) history.push(rates(at));
          const { length } = history.times;
          const [first] = history.times;
          history.push(rates(4000)); // the clock was set back
          return [length, first, history.times];
        }"""
    )
    assert kept[0] == pytest.approx(1200, abs=10)
    assert kept[1] == pytest.approx(4400, abs=10)
    assert kept[2] == [4000]


def _snapshot(
    at: int, answered: int, refused: int, latency: list[int], generation: int = 1
) -> dict[str, Any]:
    version = {
        "model": "scores",
        "version": "2",
        "codes": {"200": answered, "400": refused},
        "rows": 2 * answered,
        "runs": answered,
        "queue": 3,
        "running": 1,
        "latency": latency,
    }
    ends = {"latency_ends": [0.001, 0.002, 0.004], "variant_latency_ends": [1.0], "generation": generation}
    totals = {"memory": 1, "processor": at / 1000, "workers": 1, "rejected": {}, "variants": []}
    return {"at": at, "models": [version], **ends, **totals}


def _compare(page: Any, before: dict[str, Any], after: dict[str, Any]) -> Any:
    page.goto("/console/index.html")
    return page.evaluate(
        """async ([before, after]) => {
          const { compareSnapshots } = await import("/console/pages/live/rates.js");
          const rates = compareSnapshots(before, after);
          return rates && Object.fromEntries(rates.lines);
        }""",
        [before, after],
    )


def test_rates_and_quantiles_are_of_what_came_between_two_snapshots(page: Any) -> None:
    lines = _compare(page, _snapshot(1000, 10, 0, [7, 3]), _snapshot(3000, 26, 4, [7, 11, 8]))
    line = lines["version scores 2"]
    assert (line["requests"], line["errors"], line["queue"], line["batch"]) == (10, 2, 3, 2)
    assert [line["p50"], line["p99"]] == pytest.approx([2.0, 3.96])
    shared = ("requests", "errors", "queue", "running", "batch", "p50", "p99")
    assert all(lines["all"][name] == line[name] for name in shared)


@pytest.mark.parametrize("after", [_snapshot(1000, 26, 4, []), _snapshot(3000, 26, 4, [], generation=2)])
def test_nothing_is_told_of_no_time_or_of_counts_that_began_anew(page: Any, after: dict[str, Any]) -> None:
    assert _compare(page, _snapshot(1000, 10, 0, [7, 3]), after) is None
