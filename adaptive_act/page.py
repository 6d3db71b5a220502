"""Reports as one HTML file that needs nothing else, or as Markdown with pictures beside it."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from adaptact.files import replace_file
from adaptact.text import escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SVG = 400_000
"""The most bytes of a drawing; a larger one is stored as pixels, since browsers and printers slow down."""
_PIXELS_PER_INCH = 150
_NUMBER = re.compile(r"[-+−±<>≤≥~]?\s*(\d|nan$|inf$)")
_EMPTY = {"", "–", "-"}
FIGURES = "figures"
_MARKDOWN_PIXELS_PER_INCH = 130


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph."""

    paragraph: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a header; a column in which every cell begins with a number is set to the right.

    Raises ValueError where a row has more or fewer cells than the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"expected {len(self.header)} cells as in {list(self.header)}, got {list(row)}"
                )

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column whether it holds numbers."""
        columns = [[str(row[place]) for row in self.rows] for place in range(len(self.header))]
        return tuple(_is_numeric(cells) for cells in columns)


@dataclass(frozen=True, slots=True)
class Picture:
    """A matplotlib figure; its caption stands below it and is its alternative text."""

    figure: "Figure"
    caption: str
    kind: ClassVar[str] = "picture"

    @property
    def source(self) -> str:
        """The drawing as a data address: SVG, or PNG where that would be larger than LARGEST_SVG."""
        drawing = _save_figure(self.figure, "svg")
        if len(drawing) <= LARGEST_SVG:
            return _data_url("image/svg+xml", drawing)
        return _data_url("image/png", _save_figure(self.figure, "png"))


Part = Text | Table | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the parts below it."""

    title: str
    parts: Sequence[Part]


def render_html(title: str, sections: Sequence[Section], subtitle: str = "") -> str:
    """The report as HTML: equal content gives equal text, whatever the day and the machine.

    All text is escaped. Drawings are images within the file, each on white in the light and the dark scheme.
    """
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # only reports need it

    template = resources.files("adaptive_act").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(template).render(title=title, subtitle=subtitle, sections=sections)


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


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip() not in _EMPTY]
    return bool(filled) and all(_NUMBER.match(cell.strip()) for cell in filled)


def _save_figure(figure: "Figure", file_format: str) -> bytes:
    import matplotlib  # noqa: PLC0415  # costs 0.5 s to import

    # The salt makes the ids in the drawing follow from its content; the file names no date and no program.
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[file_format]
    written = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "adaptact", "svg.fonttype": "path"}):
        figure.savefig(
            written, format=file_format, dpi=_PIXELS_PER_INCH, metadata=metadata, facecolor="white"
        )
    return written.getvalue()


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _render_part(part: Part, name: str, folder: Path) -> str:
    if isinstance(part, Table):
        return _render_table(part)
    if isinstance(part, Picture):
        relative = f"{FIGURES}/{name}.png"
        with replace_file(folder / relative) as file:
            part.figure.savefig(
                file, format="png", dpi=_MARKDOWN_PIXELS_PER_INCH, metadata={"Software": None}
            )
        return f"![{_escape_markdown(part.caption)}]({relative})\n\n{_escape_markdown(part.caption)}"
    return _escape_markdown(part.paragraph)


def _render_table(table: Table) -> str:
    marks = ["---:" if numeric else "---" for numeric in table.numeric]
    rows = [table.header, marks, *([_escape_markdown(str(cell)) for cell in row] for row in table.rows)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{lines}\n\n{_escape_markdown(table.caption)}" if table.caption else lines


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|<>\[\]*_`])", r"\\\1", escape(text, longest=None))


def _make_slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")
