"""One server and one browser for all tests of the console."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.models import write_models
from tests.serve.process import ServerProcess

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
# The browser's own line for an answer that is no success: the page shows that, and its test looks at it.
ANSWERED = "Failed to load resource"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's models."""
    made = tmp_path_factory.mktemp("console") / "models"
    write_models(made)
    return made


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[ServerProcess]:
    """A server without keys, with a store of experiments and an audit log in a file."""
    with start_server(folder) as started:
        yield started


def start_server(folder: Path) -> ServerProcess:
    """A server of these models; its store, its state and its audit log lie beside their folder."""
    beside = folder.parent
    (beside / "state").mkdir()
    options = {
        "--models": folder,
        "--state": beside / "state",
        "--experiments-store": f"sqlite:///{beside / 'experiments.db'}",
        "--audit-log": beside / "audit.jsonl",
    }
    return ServerProcess(*(str(part) for pair in options.items() for part in pair))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; without it, or without ADAPTACT_BROWSER=1, the test is skipped."""
    if not CHROMIUM or os.environ.get("ADAPTACT_BROWSER") != "1":
        pytest.skip("set ADAPTACT_BROWSER=1, with chromium installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def context(browser: Any, server: ServerProcess) -> Iterator[Any]:
    """A browser that has seen nothing yet, with the server's address as its base."""
    made = browser.new_context(
        base_url=server.url, locale="en-US", color_scheme="light", viewport={"width": 1280, "height": 900}
    )
    made.set_default_timeout(60_000)
    yield made
    made.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """A page; its test fails if the browser reported an error, or a violation of the policy."""
    opened = context.new_page()
    complaints: list[str] = []
    watch(opened, complaints)
    yield opened
    assert complaints == []


def watch(page: Any, complaints: list[str]) -> None:
    """Write down whatever the browser complains of."""

    def note(message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(ANSWERED):
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))


def go(page: Any, place: str) -> None:
    """Show the page of the console at this place, as `models/scores/1`, and wait for what it reads."""
    page.goto(f"/console#/{place}")
    page.wait_for_selector("main h1")
    page.wait_for_selector(".loading", state="detached")


@pytest.fixture
def axe() -> Any:
    """The accessibility checker."""
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


def list_serious(axe: Any, page: Any) -> Iterator[str]:
    """What it finds on the page that keeps people from using it."""
    for violation in axe.run(page).response["violations"]:
        if violation["impact"] in ("serious", "critical"):
            yield from (f"{violation['id']}: {node['html'][:200]}" for node in violation["nodes"])
