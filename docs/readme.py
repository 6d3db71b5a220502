"""Puts measured tables into README.md and docs/measured.md, between marks with their names: `make docs`."""

import re
from itertools import dropwhile, takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "measured.md")
MARKED = re.compile(r"(<!-- table of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def insert_tables(text: str) -> str:
    """The text with the table of each named file between its marks."""
    return MARKED.sub(lambda match: f"{match[1]}\n{_read_table(ROOT / match[2])}\n\n{match[3]}", text)


def _read_table(path: Path) -> str:
    """The page's first table."""
    lines = path.read_text(encoding="utf-8").splitlines()
    table = dropwhile(lambda line: not line.startswith("|"), lines)
    return "\n".join(takewhile(lambda line: line.startswith("|"), table))


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(insert_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
