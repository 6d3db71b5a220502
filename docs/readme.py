"""Puts the measured tables into README.md, between the marks that name their files: `make docs`."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MARKED = re.compile(r"(<!-- table of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """The text with the table of each named file between its marks."""
    return MARKED.sub(lambda found: f"{found[1]}\n{_table(ROOT / found[2])}\n\n{found[3]}", text)


def _table(path: Path) -> str:
    return "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|"))


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
