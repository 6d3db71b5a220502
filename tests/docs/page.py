"""The pages of the documentation, and the blocks of code in them.

A block is run in the page's one shell (`sh`) or Python session (`python`). One with a title is a file of that
name instead, in any language; other blocks show output. A comment above a block says why it is not run,
`<!-- not run: reason -->`, or that it fails as it should, `<!-- exit status 3 -->`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
# The results are written by the benchmarks, and the changes tell of the past.
PAGES = tuple(sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]))
RUN = ("sh", "python")
SHOWN = ("text", "json", "toml", "yaml", "ini", "csv")

_BLOCK = re.compile(
    r"(?:^ *<!-- (?:not run: (?P<reason>[^\n]+)|exit status (?P<status>\d+)) -->\n+)?"
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"\n]+)")?\n(?P<code>.*?)^(?P=indent)```$',
    re.MULTILINE | re.DOTALL,
)
_GOES_ON = re.compile(r"\bgoes\s+on\s+from\s+\[[^\]]+\]\(([^)#]+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code, and where it stands."""

    place: str
    language: str
    title: str | None
    code: str
    reason: str | None
    status: int

    @property
    def is_used(self) -> bool:
        """Whether a reader saves or runs it."""
        return self.reason is None and (self.title is not None or self.language in RUN)


def read_blocks(page: Path) -> list[Block]:
    """The page's blocks, in their order."""
    return list(_find_blocks(page))


def _find_blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(
            f"{page.name}:{line}",
            match["language"],
            match["title"],
            dedent(match["code"]),
            match["reason"],
            int(match["status"] or 0),
        )


def find_previous(page: Path) -> Path | None:
    """The page whose folder this one goes on in, as its text says."""
    match = _GOES_ON.search(page.read_text(encoding="utf-8"))
    return None if match is None else (page.parent / match[1]).resolve()
