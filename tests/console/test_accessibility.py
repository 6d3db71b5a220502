from itertools import pairwise
from typing import Any

import pytest

from tests.console.conftest import go, list_serious

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLACES = (
    *("models", "models/scores/1", "models/broken/1", "try/scores", "try/colours", "try/table", "live"),
    *("experiments", "plan", "audit"),
)
LOOKS = [("light", 1280), ("dark", 1280), ("light", 400)]


@pytest.mark.parametrize(("colours", "width"), LOOKS)
def test_axe_finds_nothing_serious(page: Any, axe: Any, colours: str, width: int) -> None:
    page.emulate_media(color_scheme=colours)
    page.set_viewport_size({"width": width, "height": 900})
    found = {}
    for place in PLACES:
        go(page, place)
        found[place] = list(list_serious(axe, page))
    go(page, "models")
    page.get_by_role("button", name="Aliases of scores").click()
    found["dialog"] = list(list_serious(axe, page))
    assert found == {place: [] for place in found}


def test_headings_come_in_order(page: Any) -> None:
    for place in PLACES:
        go(page, place)
        levels = page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3, h4')].map(({ tagName }) => +tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_everything_can_be_reached_and_done_by_keyboard(page: Any) -> None:
    go(page, "models")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("button", name="Aliases of scores").focus()
    page.keyboard.press("Enter")
    for _ in range(12):  # the focus stays in the dialog, the browser's own controls aside
        page.keyboard.press("Tab")
        place = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        assert page.evaluate(place)
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Aliases of scores"


def test_a_new_page_gets_the_focus_and_the_title(page: Any) -> None:
    go(page, "models")
    page.get_by_role("link", name="Live").press("Enter")
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    assert page.evaluate("document.activeElement.innerText") == "Live"
    assert page.title() == "Live · adaptact"


def test_the_theme_is_the_systems_until_one_is_chosen(page: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    go(page, "models")
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {ground} !== '{light}'")
    page.get_by_role("button", name="Show light colours").click()
    assert page.evaluate(ground) == light
    page.reload()
    page.wait_for_selector("main h1")
    assert page.evaluate(ground) == light


def test_the_language_is_the_browsers_until_one_is_chosen(browser: Any, page: Any, server: Any) -> None:
    context = browser.new_context(base_url=server.url, locale="ja-JP")
    japanese = context.new_page()
    go(japanese, "models")
    assert japanese.evaluate("document.documentElement.lang") == "ja"
    assert japanese.get_by_role("heading", level=1).inner_text() == "モデル"
    japanese.locator("select").select_option("en")
    japanese.get_by_role("heading", name="Models").wait_for()
    japanese.reload()
    japanese.get_by_role("heading", name="Models").wait_for()
    context.close()
