"""The parts of a report as Markdown, with its pictures as files beside it."""

import re
from collections.abc import Sequence
from pathlib import Path

from adaptive_act.atomic import replacing
from adaptive_act.page import Part, Picture, Section, Table

FIGURES = "figures"

_PIXELS_PER_INCH = 130


def markdown(title: str, sections: Sequence[Section], folder: Path) -> str:
    """The report as Markdown; its pictures are written to `folder`/figures and named relative to `folder`."""
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    blocks = [f"# {title}"]
    for section in sections:
        blocks.append(f"## {section.title}")
        blocks += [
            _block(part, f"{_slug(section.title)}-{place}", folder)
            for place, part in enumerate(section.parts)
        ]
    return "\n\n".join(blocks) + "\n"


def _block(part: Part, name: str, folder: Path) -> str:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Picture):
        relative = f"{FIGURES}/{name}.png"
        with replacing(folder / relative) as file:
            part.figure.savefig(file, format="png", dpi=_PIXELS_PER_INCH, metadata={"Software": None})
        return f"![{_escaped(part.caption)}]({relative})\n\n{_escaped(part.caption)}"
    return _escaped(part.paragraph)


def _table(table: Table) -> str:
    marks = ["---:" if numeric else "---" for numeric in table.numeric]
    rows = [table.header, marks, *([_escaped(str(cell)) for cell in row] for row in table.rows)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{lines}\n\n{_escaped(table.caption)}" if table.caption else lines


def _escaped(text: str) -> str:
    return re.sub(r"([\\|<>\[\]*_`])", r"\\\1", text)


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")
