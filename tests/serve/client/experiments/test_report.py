"""The page of an experiment: complete, self-contained, and safe whatever a server says."""

import dataclasses
from html.parser import HTMLParser
from typing import Any

import pytest

from adaptact.languages.catalogue import LANGUAGES, Language, translate
from serve.client.experiments.replies import Audit, Experiment, Looks, Phase, Results, read
from serve.client.experiments.report import render_report
from serve.client.experiments.sections import Evidence
from tests.adaptact.hostile import HOSTILE, MARKUP
from tests.serve.client.experiments.looks import make_results

BEGIN = 1_764_000_000_000_000
NAME = "".join(HOSTILE).replace("\udcff", "")
ATTACK = f'"><script>alert(1)</script><img src=x onerror="a()">{{{{ 7 * 7 }}}}{{name}}{NAME}{MARKUP}'
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "p", "strong", "br"),
    *("nav", "ul", "li", "a"),
    *("div", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "span"),
    *("svg", "line", "text", "polygon", "polyline", "circle", "rect"),
}


class Tags(HTMLParser):
    """Collects the page's tags and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def make_evidence(looks: int = 3, text: str = "", **fields: Any) -> Evidence:
    """The evidence of an experiment; the text stands wherever a server may write one."""
    results = poison(make_results(**fields), text)
    phase = {
        "number": 2, "comparison": 1, "stage": "ramp", "step_percent": 5, "started_at": BEGIN + 1,
        "by": "anne", "reason": "to see",
    }  # fmt: skip
    definition = {
        "model": "digits",
        "control": {"name": "control", "version": "1"},
        "candidates": [{"name": "candidate", "version": "2"}],
        "planned_units": 5000,
        "alpha": 0.05,
    }
    known = {"name": "exp", "revision": 2, "phase": phase, "possible": ["stop"], "definition": definition}
    entry = {"at": BEGIN, "by": "anne", "action": "start", "detail": "phase 2"}
    seen: list[Any] = [{"at": BEGIN + place, "results": results} for place in range(looks)]
    return Evidence(
        read(Experiment, poison(known, text)),
        read(Results, results),
        read(Looks, {"looks": seen}).looks,
        [read(Phase, poison(phase, text))],
        read(Audit, {"entries": [poison(entry, text)]}),
    )


def poison(value: Any, text: str) -> Any:
    """The JSON with the text after every string."""
    if isinstance(value, dict):
        return {key: poison(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [poison(item, text) for item in value]
    return value + text if isinstance(value, str) else value


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_verdict_comes_first_and_everything_follows(language: Language) -> None:
    page = render_report(make_evidence(), language)
    titles = ("Effect over time", "Guardrails", "Costs by variant", "Exposures over time", "Sample ratio")
    order = ["Undecided between candidate and control."]
    order += [translate(title, language) for title in (*titles, "Audit trail")]
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert f'<html lang="{language}">' in page
    assert page.count("<polygon") == 1
    assert "×3: 482" in page
    assert page.count('class="baseline"') == 1


@pytest.mark.parametrize("text", ["", ATTACK])
def test_the_page_runs_nothing_and_asks_no_network(text: str) -> None:
    page = render_report(make_evidence(text=text), "en")
    found = Tags(page)
    assert found.tags <= ALLOWED
    assert not {name for name in found.attributes if name.startswith("on") or name in ("src", "style")}
    assert page.count(' href="') == page.count(' href="#s')
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert [character for character in page if not character.isprintable() and character != "\n"] == []
    assert ("{{ 7 * 7 }}" in page) == bool(text)


def test_equal_evidence_gives_equal_pages() -> None:
    assert render_report(make_evidence(), "ja") == render_report(make_evidence(), "ja")


@pytest.mark.parametrize("looks", [0, 1])
def test_an_experiment_that_has_just_begun_has_a_page(looks: int) -> None:
    page = render_report(make_evidence(looks, width=None), "en")
    assert ("There is no effect to draw yet" in page) == (looks == 0)


def test_an_experiment_that_ended_before_a_look_does_not_wait_for_one() -> None:
    begun = make_evidence(0, width=None)
    phase = begun.experiment.phase.model_copy(update={"stage": "promoted"})
    experiment = begun.experiment.model_copy(update={"phase": phase})
    page = render_report(dataclasses.replace(begun, experiment=experiment), "en")
    assert "There is no effect to draw yet" not in page
    assert page.count("No look was taken while it ran") == 2


def test_a_wrong_split_is_said() -> None:
    split = make_results()["sample_ratio"] | {"is_alarm": True}
    assert "The units are NOT in the designed shares" in render_report(
        make_evidence(sample_ratio=split), "en"
    )


def test_no_units_are_no_tested_split() -> None:
    split = make_results()["sample_ratio"] | {"units": {"v1": 0, "v2": 0}}
    page = render_report(make_evidence(sample_ratio=split), "en")
    assert "There are no units yet, whose shares could be tested." in page
    assert "The units are in the designed shares" not in page


@pytest.mark.parametrize(("language", "name"), [("en", "failures of bought"), ("ja", "bought の失敗")])
def test_what_is_of_failures_is_called_so(language: Language, name: str) -> None:
    metric = make_results()["metrics"][0] | {"of_failures": True, "scale": "ratio"}
    page = render_report(make_evidence(metrics=[metric]), language)
    assert page.count(name) == 3  # in the table, below the curve, and for who cannot see it
