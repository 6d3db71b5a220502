"""The console in the system's Chromium under load, for some minutes.

Each page is opened, used and left again and again, in English and Japanese, while clients ask, report
outcomes, and unload and load a model. Beside that one tab stays on the page of live figures, and its memory
is measured. Needs the package chromium. Prints a table and writes docs/results/console_load.{md,json}.
"""

import shutil
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from rich import box
from rich.table import Table

from benchmarks.console_pages import FLAGS
from benchmarks.results import publish
from tests.console.conftest import go, start_server, watch
from tests.console.load import Load
from tests.console.models import write_models
from tests.console.units import run_experiment
from tests.console.visits import VISITS, note_failures, visit

LANGUAGES = ("en-US", "ja-JP")
SETTLED = 60.0
"""Seconds after which the memory of the live page is held to grow no more: its code is compiled by then."""
# One more sample of the live page's figures, in each of its lines, is some hundred bytes.
GROWTH_MIB = 5.0


def main(minutes: Annotated[float, typer.Option(min=0.5, help="How long the pages are used.")] = 4.0) -> None:
    """Measure and publish."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("`chromium` is missing: install the package of that name")
    with tempfile.TemporaryDirectory() as beside, sync_playwright() as driver:
        folder = Path(beside) / "models"
        write_models(folder)
        with start_server(folder) as server:
            run_experiment(server.url, folder)
            with Load(server.url) as load:
                browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
                run = _Run(browser, server.url, minutes)
                run.use_pages()
                browser.close()
    _publish(run, load.done)


class _Run:
    """Pages used one after the other, and a tab that stays on the live page."""

    def __init__(self, browser: Browser, url: str, minutes: float) -> None:
        self.minutes = minutes
        self.complaints: list[str] = []
        self.visits: dict[str, list[float]] = defaultdict(list)
        self.memory: list[tuple[float, float, float]] = []
        """Of the live tab: seconds since its start, MiB of live objects, and nodes of its document."""
        contexts = [browser.new_context(base_url=url, locale=language) for language in LANGUAGES]
        self._pages = [self._open(context.new_page()) for context in contexts]
        self._live = self._open(contexts[0].new_page())
        self._protocol: CDPSession = contexts[0].new_cdp_session(self._live)
        self._protocol.send("Performance.enable")

    def use_pages(self) -> None:
        """Visit every page in each language until the time is up."""
        go(self._live, "live")
        self._live.wait_for_selector(".line-chart")
        start = time.monotonic()
        while time.monotonic() < start + 60 * self.minutes:
            for place in VISITS:
                for page in self._pages:
                    began = time.monotonic()
                    visit(page, place)
                    self.visits[place].append(time.monotonic() - began)
            self._measure(time.monotonic() - start)

    def _open(self, page: Page) -> Page:
        watch(page, self.complaints)
        note_failures(page, self.complaints)
        page.set_default_timeout(60_000)
        return page

    def _measure(self, seconds: float) -> None:
        self._protocol.send("HeapProfiler.collectGarbage")
        answer = self._protocol.send("Performance.getMetrics")["metrics"]
        metrics = {each["name"]: each["value"] for each in answer}
        self.memory.append((seconds, metrics["JSHeapUsedSize"] / 2**20, metrics["Nodes"]))


def _publish(run: _Run, done: Counter[str]) -> None:
    visits = Table(box=box.MARKDOWN, title="Opened, used and left")
    for column in ("page", "times", "median, s", "longest, s"):
        visits.add_column(column, justify="left" if column == "page" else "right")
    for place, seconds in run.visits.items():
        visits.add_row(place, str(len(seconds)), f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
    counts = Table(box=box.MARKDOWN, title="What the clients did meanwhile")
    for column in ("request and status", "times"):
        counts.add_column(column, justify="left" if column != "times" else "right")
    for name, times in sorted(done.items()):
        counts.add_row(name, f"{times:,}")
    settled = [sample for sample in run.memory if sample[0] >= SETTLED] or run.memory
    first, last = settled[0], settled[-1]
    found = Table(box=box.MARKDOWN, title="Findings")
    for column in ("what", "measured", "budget"):
        found.add_column(column, justify="left" if column == "what" else "right")
    found.add_row("errors in the browser's console, and failed requests", str(len(run.complaints)), "0")
    found.add_row(
        f"memory of the live tab, {first[0]:.0f} s and {last[0]:.0f} s after it was opened",
        f"{first[1]:.1f}, {last[1]:.1f} MiB",
        f"+ {GROWTH_MIB:g} MiB",
    )
    found.add_row("nodes of its document at these times", f"{first[2]:.0f}, {last[2]:.0f}", "–")
    numbers: dict[str, Any] = {"visits": run.visits, "memory": run.memory}
    numbers |= {"done": done, "complaints": run.complaints}
    notes = (
        f"{run.minutes:g} minutes, with three clients that ask and report outcomes, and one that unloads and "
        "loads a model. A visit is a page opened, a field filled or a button pressed, and the page left."
    )
    publish("console_load", "The console under load", [visits, counts, found], numbers, notes)


if __name__ == "__main__":
    typer.run(main)
