"""What a report is made of: sections of texts, tables, verdicts, pictures and charts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias
from unicodedata import east_asian_width

from adaptact.report.charts import Chart
from adaptact.report.scatter import Scatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBER = re.compile(r"[-+−±×<>≤≥~]?\s*(\d|nan$|inf$)")
# A point of a law, a day, a number of a list, or a sentence that begins with a number.
_NOT_A_NUMBER = re.compile(r"\d\([a-z]|\d{4}-\d\d-|^\d+\)$|[。、]")
_EMPTY = {"", "–", "-"}
_FEW_LINES = 24
_LINE = 60
"""Characters of a long cell that stand in one line of print, about."""
LONGEST_SHORT_CELL = 28
"""Characters of a cell that is kept in one line where there is room."""
_GAP = 2
"""The space between two columns, in widths of a character."""
_FIT_PAPER = 108
"""Widths of a character that fit beside each other on A4 in the print of a table."""
_FIT_SMALL = 132
"""The same in small print."""

Tone: TypeAlias = Literal["good", "caution", "bad"]


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph."""

    paragraph: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word that answers the report's question, and what it means; the tone is its colour."""

    tone: Tone
    word: str
    sentence: str
    kind: ClassVar[str] = "verdict"


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

    @property
    def is_short(self) -> bool:
        """Whether it takes a part of a page, so that paper does not cut it."""
        lines = (max((_count_lines(str(cell)) for cell in row), default=0) for row in self.rows)
        return sum(lines) <= _FEW_LINES

    @property
    def fit(self) -> Literal["", "small", "crowded"]:
        """How paper shows it so that nothing is cut: as it is, smaller, or with numbers over many lines."""
        width = sum(self._measure_column(place) + _GAP for place in range(len(self.header)))
        return "" if width <= _FIT_PAPER else "small" if width <= _FIT_SMALL else "crowded"

    def _measure_column(self, place: int) -> int:
        """Widths of a character that it needs: long cells and headers go over many lines."""
        words = max((_measure(word) for word in self.header[place].split()), default=0)
        cells = [str(row[place]) for row in self.rows]
        short = [cell for cell in cells if len(cell) <= LONGEST_SHORT_CELL]
        lines = (_measure(line) for cell in short for line in cell.split("\n"))
        return max(words, LONGEST_SHORT_CELL if len(short) < len(cells) else 0, *lines)


@dataclass(frozen=True, slots=True)
class Picture:
    """A matplotlib figure, drawn when the report is written; the caption is its alternative text too."""

    draw: "Callable[[], Figure]"
    caption: str
    kind: ClassVar[str] = "picture"


Part: TypeAlias = Text | Verdict | Table | Picture | Chart | Scatter


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the parts below it."""

    title: str
    parts: Sequence[Part]


def _count_lines(cell: str) -> int:
    return sum(1 + _measure(line) // _LINE for line in cell.split("\n"))


def _measure(text: str) -> int:
    """Its width, in that of a Latin character."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip() not in _EMPTY]
    return bool(filled) and all(
        _NUMBER.match(cell.strip()) and not _NOT_A_NUMBER.search(cell) for cell in filled
    )
