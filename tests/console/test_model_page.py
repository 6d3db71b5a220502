from typing import Any

import pytest

from tests.console.conftest import go
from tests.console.models import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _section(page: Any, title: str) -> Any:
    return page.locator("section.card", has=page.get_by_role("heading", name=title, exact=True, level=2))


def test_it_shows_everything_that_the_manifest_records(page: Any) -> None:
    go(page, "models/scores/1")
    assert page.get_by_role("heading", level=1).inner_text() == "scores, version 1"
    for title, words in {
        "Inputs and outputs": ("[batch, 4]", "[batch, 3]", "FP32", "cat", "read from manifest"),
        "Learned activations": ("PReLU in the place of ReLU()", "median 0.3, of 3 channels", "0.25"),
        "Parity with the original": ("input `mask` moves no output", "22.2%", "4 of 5, 1 unseen"),
        "Rules": ("prelu_to_leakyrelu", "its output is read elsewhere too", "sum_of_scales"),
        "Tuning": ("the chosen forms are faster", "a CPU", "100 μs", "90 μs"),
        "Precision": ("int8, static", "499 of 512 right, the original 500", "510 / 512", "head"),
        "Provenance": ("checkpoint", "ab" * 32, "torch 2.13.0"),
    }.items():
        text = _section(page, title).inner_text()
        assert [word for word in words if word not in text] == []


def test_each_activation_has_its_curve_its_start_and_what_reached_it(page: Any) -> None:
    go(page, "models/scores/1")
    charts = page.locator(".activation svg.chart")
    assert charts.count() == 2
    channels = charts.nth(0)
    assert [channels.locator(f"path.{part}").count() for part in ("learned", "start", "reach")] == [3, 1, 1]
    assert channels.get_attribute("aria-label") == (
        "The learned curve of features.1: Below 0 it passes inputs with a slope."
    )
    told = page.locator(".activation").nth(0).inner_text()
    assert "5% below −4 · 5% above 4" in told
    assert "−7.25 to 6.5" in told


def test_another_version_can_be_chosen(page: Any) -> None:
    go(page, "models/scores/1")
    page.get_by_label("Version").select_option("2")
    page.get_by_role("heading", name="scores, version 2").wait_for()
    page.go_back()
    page.get_by_role("heading", name="scores, version 1").wait_for()


def test_without_a_version_it_is_the_default(page: Any) -> None:
    go(page, "models/scores")
    page.get_by_role("heading", name="scores, version 2").wait_for()


def test_a_file_without_evidence_says_how_to_get_some(page: Any) -> None:
    go(page, "models/spare")
    assert "adaptact export" in _section(page, "Provenance").inner_text()
    assert page.locator(".activation").count() == 0


def test_evidence_of_an_unknown_form_spoils_only_its_own_part(page: Any) -> None:
    go(page, "models/odd")
    assert "a form that this console does not read" in _section(page, "Parity with the original").inner_text()
    assert "[?, 4]" in _section(page, "Inputs and outputs").inner_text()


@pytest.mark.parametrize("place", ["models/nothing", "models/scores/9"])
def test_what_is_not_there_is_told(page: Any, place: str) -> None:
    go(page, place)
    assert "It may have been removed or renamed" in page.get_by_role("alert").inner_text()


def test_a_version_that_is_not_ready_says_why(page: Any) -> None:
    go(page, "models/broken/1")
    assert "ONNX Runtime cannot load it" in page.locator("main").inner_text()


def test_drift_waits_until_there_is_enough_to_compare(page: Any) -> None:
    go(page, "models/scores/1")
    text = _section(page, "Drift").inner_text()
    assert "waiting for data" in text
    assert "of 500 rows" in text
    assert "rows at export: 512" in text


def test_drift_is_shown_in_words_and_beside_the_curves(page: Any) -> None:
    def answer(route: Any) -> None:
        drift = route.fetch().json()
        (series,) = drift["report"]["series"]
        found = {"verdict": "drifted", "reason": HOSTILE[0], "rows": 600, "psi": 0.441, "outside": 0.248}
        series |= found | {"live": [0.1, 0.4, 0.4, 0.1]}
        drift["report"] |= {"verdict": "drifted", "summary": "input x has drifted"}
        drift["report"]["series"].append(series | {"role": "activation", "layer": "features.1"})
        route.fulfill(json=drift)

    page.route("**/drift", answer)
    go(page, "models/scores/1")
    text = _section(page, "Drift").inner_text()
    for word in ("input x has drifted", "0.441", "24.8%", "before the activation", HOSTILE[0]):
        assert word in text
    assert page.locator(".activation path.reach-live").count() == 1


def test_what_the_file_says_is_told_in_the_language_of_the_page(page: Any) -> None:
    go(page, "models/scores/1")
    assert "the fixed point at ReLU()" in page.locator(".activation").first.inner_text()
    page.get_by_label("Language").select_option("ja")
    page.get_by_text("不動点 ReLU()").first.wait_for()
    assert page.get_by_text("不動点 ReLU()").first.evaluate("it => it.closest('[lang]').lang") == "ja"
    assert (
        page.get_by_text("its output is read elsewhere too").evaluate("it => it.closest('[lang]').lang")
        == "en"
    )


def test_what_was_timed_to_choose_a_provider_is_shown(page: Any) -> None:
    def answer(route: Any) -> None:
        overview = route.fetch().json()
        lost = {"provider": "cpu", "threads": 2, "microseconds": [40.0, 300.0], "ratio": 1.0, "rounds": 9}
        unusable = {"provider": "openvino", "threads": 2, "microseconds": [], "ratio": None, "rounds": 0}
        reasons = ("not clearly faster than the first", HOSTILE[0])
        candidates = [
            each | {"reason": reason} for each, reason in zip((lost, unusable), reasons, strict=True)
        ]
        for version in overview["models"]:
            version["choice"] = {"batches": [1, 8], "candidates": candidates}
        route.fulfill(json=overview)

    page.route("**/adaptact/v1/models", answer)
    go(page, "models/scores/1")
    text = _section(page, "Provenance").inner_text()
    for word in ("cpu, 1 threads", "batch 1: 40 μs", "batch 8: 300 μs", "100%", *("not clearly", HOSTILE[0])):
        assert word in text
