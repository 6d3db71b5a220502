"""The console by the keyboard alone, with little motion and in large print."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import go, start_server
from tests.console.models import write_models
from tests.console.test_accessibility import PLACES
from tests.console.units import MODEL, NAME, run_experiment
from tests.serve.process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FOCUS = """() => {
  const { activeElement: it } = document;
  return it === document.body ? "nothing" : (it.ariaLabel || it.innerText || it.value || it.tagName).trim();
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of these tests alone, which name and promote some of them."""
    made = tmp_path_factory.mktemp("keyboard") / "models"
    write_models(made)
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    """Their server."""
    with start_server(folder) as started:
        yield started


def _reach(page: Any, name: str, key: str = "Tab") -> None:
    """Press the key until what has this name has the focus."""
    for _ in range(60):
        if page.evaluate(FOCUS) == name:
            return
        page.keyboard.press(key)
    raise AssertionError(f"{name!r} is not reached; the focus is at {page.evaluate(FOCUS)!r}")


def _act(page: Any, opener: str, action: str) -> None:
    """Open the dialog behind this button, and do what it offers; the dialog closes."""
    _reach(page, opener)
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    _reach(page, action)
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")


def test_a_model_is_unloaded_and_loaded_and_the_focus_stays_in_its_place(page: Any) -> None:
    go(page, "models")
    _act(page, "Unload spare", "Unload")
    page.get_by_role("button", name="Unload spare").wait_for(state="detached")
    assert page.evaluate(FOCUS) == "Load spare"
    _act(page, "Load spare", "Load")
    page.get_by_role("button", name="Unload spare").wait_for()
    assert page.evaluate(FOCUS) == "Load spare"


def test_an_alias_is_set_and_the_focus_goes_back_to_its_button(page: Any) -> None:
    go(page, "models")
    _reach(page, "Aliases of scores")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.get_by_label("Alias", exact=True).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("canary")
    _reach(page, "Set the alias")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_text("canary", exact=True).wait_for()
    assert page.evaluate(FOCUS) == "Aliases of scores"


def test_a_candidate_is_promoted_and_the_focus_is_not_lost(
    page: Any, server: ServerProcess, folder: Path
) -> None:
    run_experiment(server.url, folder)
    go(page, f"experiments/{NAME}")
    _act(page, "Promote", "Promote")
    page.locator(".model-badges", has_text="promoted").wait_for()
    page.wait_for_function(f"() => ({FOCUS})() !== 'nothing'")
    assert page.evaluate(FOCUS) == NAME


def test_nothing_moves_for_who_asks_for_less_motion(page: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    for place in PLACES:
        go(page, place)
        moving = "document.getAnimations().filter((each) => each.playState === 'running').length"
        assert page.evaluate(moving) == 0


def test_at_twice_the_size_nothing_is_cut_or_beside_the_page(page: Any) -> None:
    # A window of 1280 by 900 pixels at 200 % shows what one of 640 by 450 does.
    page.set_viewport_size({"width": 640, "height": 450})
    for place in [*PLACES, f"models/{MODEL}/2"]:
        go(page, place)
        assert page.evaluate("document.documentElement.scrollWidth") <= 640
