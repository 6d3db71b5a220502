"""The manifest's record of what tensors held on real data, with which live traffic is compared.

Standard library only.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from convert.manifest.decode import ManifestError, decode
from convert.manifest.entries import LARGEST_BASELINE

Role = Literal["input", "output", "activation"]
LEAST_ROWS = 100
"""Fewer rows of real data would tell only the coarsest drift from chance, and are not recorded."""
LONGEST_CATEGORY = 64  # characters of a text, which stands for all that begin so


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """The values of one tensor, or of one column of it, counted in cells.

    Numbers are counted between `edges`: first those below the first edge, then those from each edge to below
    the next, last those from the last edge on; NaN in none. Texts, and numbers that name something, have
    `categories` instead, and last all others.
    """

    role: str
    """input, output, or activation: what reaches a learned activation."""
    tensor: str
    """Its name in the file's graph."""
    layer: str
    """The activation's; empty for an input or an output."""
    column: int | None
    """A place along the second axis: of a row of numbers, or of an image's channels; None for all."""
    rows: int
    """Of the samples; one of each set for a tensor that has no row for each sample."""
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    low: float | None
    """Below it, and above `high`, lay the share `outside`; None for categories, and where none was finite."""
    high: float | None
    outside: float
    """The share of the values beyond `low` and `high`, or NaN; 0 where there is no range."""

    @property
    def is_empty(self) -> bool:
        """Whether no value was a finite number, nor of a category."""
        return self.low is None and not self.categories

    @property
    def constant(self) -> str | None:
        """What every value was, in words; None where they differ."""
        if self.categories:
            return f"`{self.categories[0]}`" if self.counts[0] == sum(self.counts) else None
        return (
            f"{self.low:g}" if self.low is not None and self.low == self.high and not self.outside else None
        )


@dataclass(frozen=True, slots=True)
class BaselineRecord:
    """What the tensors held on this many rows of the user's own samples."""

    rows: int
    series: tuple[SeriesRecord, ...]

    def list_remarks(self) -> Iterator[str]:
        """What a reader should know of inputs and outputs whose values say little."""
        told: set[str] = set()
        for series in self.series:
            place = "" if series.column is None else f"[{series.column}]"
            tensor = f"{series.role} {series.tensor}"
            if series.role == "activation" or tensor in told:
                continue
            if series.is_empty:
                yield f"{tensor}{place} holds no finite number, so that finite ones count as drift"
            elif series.constant is not None:
                yield f"{tensor}{place} is always {series.constant}, so that other values count as drift"
            else:
                continue
            if series.column is None:
                told.add(tensor)  # and so are its columns

    def to_json(self) -> str:
        """The record as compact JSON, the same for the same record."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"), sort_keys=True, allow_nan=False)


def parse_baseline(text: str) -> BaselineRecord:
    """The baseline in the text; raises ManifestError where there is none."""
    if len(text) > LARGEST_BASELINE:
        raise ManifestError(f"the baseline has {len(text)} characters, expected at most {LARGEST_BASELINE}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the baseline is not JSON: {error}") from error
    record: BaselineRecord = decode(BaselineRecord, content, "baseline")
    return record
