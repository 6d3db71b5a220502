"""Every link of every page leads to a file, and to a heading of it if it names one."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.page import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def _find_links(page: Path) -> Iterator[tuple[Path, str | None]]:
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        yield page.parent / unquote(match[1]) if match[1] else page, match[2]


def _list_anchors(page: Path) -> set[str]:
    """The anchors that GitHub, and mkdocs as it is set up here, give the page's headings."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    texts = (re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    links = list(_find_links(page))
    assert [str(target) for target, _ in links if not target.exists()] == []
    wrong = [
        f"{target.name}#{anchor}"
        for target, anchor in links
        if anchor and target.suffix == ".md" and anchor not in _list_anchors(target)
    ]
    assert wrong == []


def test_every_page_is_in_the_index_and_once_in_the_navigation() -> None:
    names = {page.name for page in ROOT.glob("docs/*.md")}
    assert names - {target.name for target, _ in _find_links(ROOT / "docs" / "index.md")} == {"index.md"}
    navigation = Counter(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert navigation == Counter({*names, "overview.md", "CONTRIBUTING.md", "CHANGELOG.md"})
