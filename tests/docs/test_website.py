"""The links of pages on the website."""

import runpy

import pytest

from tests.docs.page import ROOT

WEBSITE = runpy.run_path(str(ROOT / "docs" / "website.py"))


@pytest.mark.parametrize(
    ("place", "link", "expected"),
    [
        ("security.md", "[a](operating.md#watch)", "[a](operating.md#watch)"),
        ("security.md", "[a](../README.md#measured)", "[a](overview.md#measured)"),
        ("security.md", "[fast](../adaptive_act/kernels.py)", "fast (`adaptive_act/kernels.py`)"),
        ("security.md", "[a](#keys), [b](https://a.example/b)", "[a](#keys), [b](https://a.example/b)"),
        ("overview.md", "![a](docs/images/way.svg)", "![a](images/way.svg)"),
        ("CONTRIBUTING.md", "[a](docs/index.md), [b](README.md)", "[a](index.md), [b](overview.md)"),
        ("results/studies/a/report.md", "[a](../../../study.md)", "[a](../../../study.md)"),
    ],
)
def test_links_lead_to_places_of_the_site(place: str, link: str, expected: str) -> None:
    assert WEBSITE["rewrite"](link, place) == expected


def test_each_page_beside_docs_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(place in navigation and (ROOT / source).exists() for source, place in WEBSITE["PAGES"].items())
