"""Names that others choose, of layers, inputs and classes, in answers and errors, are shown as text."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.console.conftest import go
from tests.console.models import HOSTILE, SHOWN

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG = "w" * 100
ELEMENTS = "[document.images.length, document.scripts.length, document.querySelectorAll('[onerror]').length]"


def _assert_unharmed(page: Any, title: str) -> None:
    assert page.title() == f"{title} · adaptact"
    assert page.evaluate(ELEMENTS) == [1, 1, 0]  # the brand's picture, and the console's own script
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1280, 400])
def test_markup_in_the_evidence_is_text(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    go(page, f"models/{LONG}")
    text = page.locator("main").inner_text()
    assert all(name in text for name in SHOWN[:3])
    _assert_unharmed(page, f"{LONG}, version 1")


def test_a_name_of_ten_thousand_letters_breaks_no_page(page: Any) -> None:
    go(page, "models/long")
    assert SHOWN[3] in page.locator(".activation h3").first.inner_text()
    _assert_unharmed(page, "long, version 1")


def test_markup_in_an_answer_is_text(page: Any) -> None:
    go(page, f"try/{LONG}")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer").wait_for()
    assert sorted(page.locator(".bars dt").all_inner_texts()) == sorted(SHOWN[:3])
    _assert_unharmed(page, f"Try {LONG}")


def test_what_turns_or_hides_letters_is_made_visible(page: Any) -> None:
    hostile = "\u202emodnar\u2066 ad\u200bmin \u05d0\u05d1 1"
    answer = {"status": 400, "json": {"error": hostile}}
    page.route("**/adaptact/v1/models", lambda route: route.fulfill(**answer))
    go(page, "models")
    assert "�modnar� ad�min \u2068\u05d0\u05d1\u2069 1" in page.get_by_role("alert").inner_text()
    page.unroute("**/adaptact/v1/models")
    go(page, f"models/{quote(hostile)}")
    page.get_by_role("alert").wait_for()
    assert page.title() == "�modnar� ad�min \u2068\u05d0\u05d1\u2069 1 · adaptact"
    seen = page.evaluate("document.body.innerText + document.body.outerHTML")
    assert not [letter for letter in hostile[0] + "\u2066\u200b" if letter in seen]


def test_markup_in_an_error_is_text(page: Any) -> None:
    answer = {"status": 400, "json": {"error": " ".join(HOSTILE)}}
    page.route("**/adaptact/v1/models", lambda route: route.fulfill(**answer))
    go(page, "models")
    assert HOSTILE[0] in page.get_by_role("alert").inner_text()
    _assert_unharmed(page, "Models")


def test_markup_in_names_and_reasons_of_models_is_text(page: Any) -> None:
    versions = [
        {
            "name": name,
            "version": "1",
            "state": "UNAVAILABLE",
            "reason": name,
            "aliases": [],
            "is_default": False,
        }
        for name in HOSTILE
    ]
    page.route("**/adaptact/v1/models", lambda route: route.fulfill(json={"models": versions}))
    go(page, "models")
    assert all(name in page.locator("main").inner_text() for name in SHOWN)
    page.get_by_role("button", name=f"Load {HOSTILE[0]}").click()
    assert HOSTILE[0] in page.get_by_role("dialog").inner_text()
    _assert_unharmed(page, "Models")


@pytest.mark.parametrize(
    "place", ["models/%", "%E0%A4%A", "nothing", "models/a/b/c", "try/%3Cimg%20src=x%20onerror=alert(1)%3E"]
)
def test_an_address_that_means_nothing_is_answered_in_words(page: Any, place: str) -> None:
    go(page, place)
    assert page.locator("main").inner_text().strip()
    assert page.evaluate(ELEMENTS) == [1, 1, 0]
