"""The pages under docs/: their blocks of Python, and the rows of their tables."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def read_page(name: str) -> str:
    """The page's text."""
    return (DOCS / f"{name}.md").read_text()


def read_first_cells(name: str) -> dict[str, str]:
    """The row behind each first cell that is code, or begins with it."""
    return dict(re.findall(r"^\| `(\w+)`(.*)\|$", read_page(name), re.MULTILINE))
