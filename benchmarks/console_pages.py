"""The console's weight and speed in the system's Chromium, with the demo's models.

Each page is opened in a browser that has seen nothing yet. Needs `make demo` to have run, and the package
chromium. Prints a table and writes docs/results/console_pages.{md,json}.
"""

import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.sync_api import Browser, sync_playwright
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.results import publish

MODELS = Path("build/digits/models")
FLAGS = ("--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking")
# A task of more than 50 ms holds up what people do meanwhile (W3C, Long Tasks API).
PAINT_SECONDS, WEIGHT_KIB, SMOOTH_MS = 1.0, 300, 50
POINTS, LINES, DRAWS = 10_000, 3, 20
# Milliseconds to draw new values, as the page of live figures does once a second.
DRAW = """async ([points, lines, draws]) => {
  const { default: Plot } = await import("/console/vendor/uplot.js");
  const times = Float64Array.from({ length: points }, (_, place) => place);
  const values = () => Array.from({ length: lines }, () => Float64Array.from(times, () => Math.random()));
  const series = [{}, ...Array.from({ length: lines }, () => ({ stroke: "steelblue" }))];
  const plot = new Plot({ width: 1000, height: 300, series }, [times, ...values()], document.body);
  const taken = [];
  for (let draw = 0; draw < draws; draw++) {
    const data = [times, ...values()];
    await new Promise(requestAnimationFrame);
    const start = performance.now();
    plot.setData(data);
    await null;
    taken.push(performance.now() - start);
  }
  return taken;
}"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


@dataclass(frozen=True, slots=True)
class PageVisit:
    """A first visit: seconds to the first paint and until what was read is shown, and what was fetched."""

    page: str
    paint: float
    shown: float
    files: int
    kib: float


def main(visits: Annotated[int, typer.Option(min=1, help="How often each page is opened.")] = 5) -> None:
    """Measure and publish."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("`chromium` is missing: install the package of that name")
    if not MODELS.is_dir():
        raise SystemExit(f"no models in `{MODELS}`: run `make demo` first")
    name = sorted(each.name for each in MODELS.iterdir())[0]
    pages = {"Models": "models", "a version": f"models/{name}/1", "Try": f"try/{name}", "Live": "live"}
    with _serve() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        _visit(browser, url, "Models", "models")  # the browser itself starts at its first page
        measured = [
            [_visit(browser, url, title, place) for _ in range(visits)]
            for title, place in track(pages.items(), description="open the pages")
        ]
        draws = _draw(browser, url)
        browser.close()
    _publish(measured, draws)


@contextmanager
def _serve() -> Iterator[str]:
    command = [sys.executable, "-m", "adaptact.cli", "serve", "--models", str(MODELS), "--port", "0"]
    process = subprocess.Popen([*command, "--log-level", "warning"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, "the server did not start"
        yield address[0]
    finally:
        process.terminate()
        process.wait(30)


def _visit(browser: Browser, url: str, title: str, place: str) -> PageVisit:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    protocol = context.new_cdp_session(page)
    protocol.send("Network.enable")
    sizes: list[float] = []
    protocol.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(f"{url}/console#/{place}")
    page.wait_for_selector("main h1")
    page.wait_for_selector(".loading", state="detached")
    shown = page.evaluate("() => performance.now() / 1000")
    visit = PageVisit(title, page.evaluate(PAINT), shown, len(sizes), sum(sizes) / 1024)
    context.close()
    return visit


def _draw(browser: Browser, url: str) -> list[float]:
    page = browser.new_page()
    page.goto(f"{url}/console")
    taken: list[float] = page.evaluate(DRAW, [POINTS, LINES, DRAWS])
    page.close()
    return taken


def _publish(measured: list[list[PageVisit]], draws: list[float]) -> None:
    visits = Table(box=box.MARKDOWN, title="A first visit")
    for column in ("page", "first paint, s", "worst", "all shown, s", "files", "compressed, KiB"):
        visits.add_column(column, justify="left" if column == "page" else "right")
    for each in measured:
        paints = [visit.paint for visit in each]
        shown = statistics.median(visit.shown for visit in each)
        visits.add_row(
            *(each[0].page, f"{statistics.median(paints):.2f}", f"{max(paints):.2f}", f"{shown:.2f}"),
            *(str(each[0].files), f"{each[0].kib:.0f}"),
        )
    worst_paint = max(visit.paint for each in measured for visit in each)
    heaviest = max(visit.kib for each in measured for visit in each)
    budgets = Table(box=box.MARKDOWN, title="Budgets")
    for column in ("what", "measured", "budget"):
        budgets.add_column(column, justify="left" if column == "what" else "right")
    budgets.add_row("first paint, the worst of all visits", f"{worst_paint:.2f} s", f"{PAINT_SECONDS:g} s")
    budgets.add_row("fetched at a first visit, the heaviest page", f"{heaviest:.0f} KiB", f"{WEIGHT_KIB} KiB")
    median, longest = statistics.median(draws), max(draws)
    drawn = f"{LINES} lines of {POINTS:,} points drawn anew, median and worst of {DRAWS}"
    budgets.add_row(drawn, f"{median:.1f}, {longest:.1f} ms", f"{SMOOTH_MS} ms")
    numbers: dict[str, Any] = {
        "visits": [asdict(visit) for each in measured for visit in each],
        "draw_milliseconds": draws,
    }
    notes = f"Medians of {len(measured[0])} visits, each in a browser context that has cached nothing."
    publish("console_pages", "The console in the browser", [visits, budgets], numbers, notes)


if __name__ == "__main__":
    typer.run(main)
