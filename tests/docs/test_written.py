"""What scripts write into the pages is what they would write now, and lists in them are complete."""

import re
import runpy
from itertools import pairwise

import pytest
import torch

from adaptive_act import ACTIVATIONS
from convert.rules import RULES
from tests.docs.page import ROOT, read_blocks


def test_the_page_of_activations_is_what_the_classes_say() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "activations.py"))["make_page"]()
    assert (ROOT / "docs" / "activations.md").read_text() == written, "run `make docs`"
    assert all(f"\n| `{name}`" in written for name in ACTIVATIONS)


def test_the_curves_in_the_picture_of_the_activations_differ() -> None:
    list_curves = runpy.run_path(str(ROOT / "docs" / "families.py"))["list_curves"]
    points = torch.linspace(-4, 4, 81, dtype=torch.float64)
    equal = []
    for name, kind in ACTIVATIONS.items():
        curves = [curve.clamp(-4, 4) for curve in list_curves(kind, points).values()]
        if not all((one - other).abs().max() > 0.05 for one, other in pairwise(curves)):
            equal.append(name)
    assert equal == []


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_activations_are_counted(page: str) -> None:
    counted = re.findall(r"\b(\d+) (?:learned )?activations\b", (ROOT / page).read_text(encoding="utf-8"))
    assert counted == [str(len(ACTIVATIONS))]


def test_every_page_says_what_it_is_good_for() -> None:
    heads = {page.name: page.read_text(encoding="utf-8")[:300] for page in ROOT.glob("docs/*.md")}
    assert [name for name, head in heads.items() if "\n\nAfter this page " not in head] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_documented(rule: object) -> None:
    assert f"`{getattr(rule, 'name', '')}`" in (ROOT / "docs" / "converting.md").read_text()


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (listed,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for target in listed.split():
        assert re.search(rf"^{target}:.*## \w", makefile, re.MULTILINE), target


@pytest.mark.parametrize(("page", "tables"), [("README.md", 2), ("docs/measured.md", 4)])
def test_the_measured_tables_are_those_of_the_results(page: str, tables: int) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("<!-- table of ") == tables
    assert runpy.run_path(str(ROOT / "docs" / "readme.py"))["insert_tables"](text) == text, "run `make docs`"


def test_the_japanese_readme_has_the_tables_and_the_code_of_the_english_one() -> None:
    english, page = ROOT / "README.md", ROOT / "README.ja.md"
    japanese = page.read_text(encoding="utf-8")
    script = runpy.run_path(str(ROOT / "docs" / "readme.py"))
    assert script["insert_tables"](japanese, script["translate_table"]) == japanese, "run `make docs`"
    assert [block.code for block in read_blocks(page)] == [block.code for block in read_blocks(english)]
    assert f"{len(ACTIVATIONS)} 種類の学習する活性化関数" in japanese
