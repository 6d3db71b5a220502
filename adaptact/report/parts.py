"""What a report is made of: sections of texts, tables, verdicts, pictures and charts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from adaptact.report.charts import Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBER = re.compile(r"[-+−±×<>≤≥~]?\s*(\d|nan$|inf$)")
# A point of a law, a day, or a sentence that begins with a number.
_NOT_A_NUMBER = re.compile(r"\d\([a-z]|\d{4}-\d\d-|[。、]")
_EMPTY = {"", "–", "-"}
_MANY_COLUMNS = 9
_FEW_ROWS = 20

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
        """Whether it fits on one page, so that paper does not cut it."""
        return len(self.rows) <= _FEW_ROWS

    @property
    def is_wide(self) -> bool:
        """Whether it has so many columns that paper shows it smaller."""
        return len(self.header) > _MANY_COLUMNS


@dataclass(frozen=True, slots=True)
class Picture:
    """A matplotlib figure, drawn when the report is written; the caption is its alternative text too."""

    draw: "Callable[[], Figure]"
    caption: str
    kind: ClassVar[str] = "picture"


Part: TypeAlias = Text | Verdict | Table | Picture | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the parts below it."""

    title: str
    parts: Sequence[Part]


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip() not in _EMPTY]
    return bool(filled) and all(
        _NUMBER.match(cell.strip()) and not _NOT_A_NUMBER.search(cell) for cell in filled
    )
