"""What people do on each page of the console, in any language: open it, act on it, leave it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.console.conftest import go
from tests.console.load import RELOADED
from tests.console.units import MODEL, NAME


def _filter(text: str, page: Any) -> None:
    page.locator("main input[type=search]").fill(text)
    page.locator("main tbody").first.wait_for()


def _choose_version(page: Any) -> None:
    page.locator("main select").first.select_option("1")
    page.locator("main h1", has_text="1").wait_for()


def _ask(page: Any) -> None:
    page.locator("main textarea").first.fill("1, 2, 3, 4")
    page.locator("main form button[type=submit]").first.click()
    page.locator(".answer").wait_for()


def _watch(page: Any) -> None:
    page.locator("main tbody input[type=checkbox]").nth(1).check()
    before = page.locator(".page-heading .note").inner_text()
    page.wait_for_function(
        "text => document.querySelector('.page-heading .note').innerText !== text", arg=before
    )
    page.locator("main button").first.click()
    page.locator("main button").first.click()


def _open(page: Any) -> None:
    page.get_by_role("link", name=NAME).click()
    page.locator("main h1", has_text=NAME).wait_for()


def _ask_to_pause(page: Any) -> None:
    page.locator(".page-heading .button-row button").first.click()
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def _look(page: Any) -> None:
    page.locator("main h1").wait_for()


VISITS: dict[str, Callable[[Any], None]] = {
    "models": partial(_filter, MODEL),
    "models/scores/2": _choose_version,
    f"try/{MODEL}": _ask,
    "live": _watch,
    "experiments": _open,
    f"experiments/{NAME}": _ask_to_pause,
    "plan": _look,
    "audit": partial(_filter, RELOADED),
}
"""By the page's place."""


def visit(page: Any, place: str) -> None:
    """Open the page, act on it and leave it through the menu."""
    go(page, place)
    VISITS[place](page)
    page.locator("nav a").first.click()
    page.locator("main h1").wait_for()


def note_failures(page: Any, failures: list[str]) -> None:
    """Write down each request that failed; one that ends since its page is left is none."""

    def note_refusal(reply: Any) -> None:
        if reply.status >= 400:
            failures.append(f"{reply.status} {reply.url}")

    def note_failure(request: Any) -> None:
        if "ABORTED" not in (request.failure or ""):
            failures.append(f"{request.failure} {request.url}")

    page.on("response", note_refusal)
    page.on("requestfailed", note_failure)
