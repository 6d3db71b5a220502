"""A report as Markdown with pictures beside it."""

import re
from collections.abc import Sequence
from pathlib import Path

from adaptact.files import replace_file
from adaptact.report.drawing import draw_png
from adaptact.report.parts import Part, Picture, Section, Table, Text
from adaptact.text import escape, isolate

FIGURES = "figures"
_PIXELS_PER_INCH = 130


def render_markdown(title: str, sections: Sequence[Section], folder: Path) -> str:
    """The report as Markdown; its pictures are written to `folder`/figures and named relative to `folder`."""
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    blocks = [f"# {title}"]
    for section in sections:
        blocks.append(f"## {section.title}")
        blocks += [
            _render_part(part, f"{_make_slug(section.title)}-{place}", folder)
            for place, part in enumerate(section.parts)
        ]
    return "\n\n".join(blocks) + "\n"


def _render_part(part: Part, name: str, folder: Path) -> str:
    if isinstance(part, Table):
        return _render_table(part)
    if isinstance(part, Picture):
        relative = f"{FIGURES}/{name}.png"
        with replace_file(folder / relative) as file:
            file.write_bytes(draw_png(part.draw, _PIXELS_PER_INCH))
        return f"![{_escape_markdown(part.caption)}]({relative})\n\n{_escape_markdown(part.caption)}"
    if isinstance(part, Text):
        return _escape_markdown(part.paragraph)
    raise TypeError(f"expected a text, a table or a picture, got {type(part).__name__}")


def _render_table(table: Table) -> str:
    marks = ["---:" if numeric else "---" for numeric in table.numeric]
    rows = [table.header, marks, *([_escape_markdown(str(cell)) for cell in row] for row in table.rows)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{lines}\n\n{_escape_markdown(table.caption)}" if table.caption else lines


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|<>\[\]*_`])", r"\\\1", isolate(escape(text, longest=None)))


def _make_slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")
