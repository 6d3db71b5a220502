"""What `make site` changes in pages: links that leave docs/ lead to pages of the site, or name the file."""

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import Any

ROOT = Path(__file__).parents[1]
# mkdocs would take a README for the index of its folder.
PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
_LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:|#)[^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """With the pages that lie beside docs/."""
    from mkdocs.structure.files import File  # noqa: PLC0415  # of the extra `docs`, which tests do without

    for source, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page, whose links are those of the site."""
    return rewrite(markdown, page.file.src_uri)


def rewrite(markdown: str, place: str) -> str:
    """The text of the page at this place of the site, with links to other places of it."""
    source = next((source for source in PAGES if PAGES[source] == place), f"docs/{place}")
    return _LINK.sub(lambda match: _replace(match, source, place), markdown)


def _replace(match: re.Match[str], source: str, place: str) -> str:
    text, (target, mark, anchor) = match[1], match[2].partition("#")
    path = normpath(f"{dirname(source)}/{target}" if dirname(source) else target)
    if path in PAGES:
        path = PAGES[path]
    elif path.startswith("docs/"):
        path = path.removeprefix("docs/")
    else:
        return f"{text} (`{path}`)"
    return f"[{text}]({relpath(path, dirname(place) or '.')}{mark}{anchor})"
