"""Which values of a run are kept for the series of a baseline, and how they are counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from convert.manifest.baseline import LONGEST_CATEGORY, Role
from serve.drift.baseline import Baseline, BaselineSeries
from serve.drift.counting import FIRST_CELL, Tally, count_values
from serve.engine.signature import Array

MOST_ROWS = 16
"""Of one request."""
MOST_VALUES = 256
"""Of one row of a tensor, at places drawn anew for each request."""
_ROW, _IMAGE = 2, 4  # axes

Key: TypeAlias = tuple[Role, str]
"""A tensor's role and name."""
Drawn: TypeAlias = Mapping[Key, Array]
"""Of some tensors values [rows, columns, places]."""


@dataclass(slots=True)
class _Tensor:
    """The places of a tensor's series in the baseline."""

    whole: list[int] = field(default_factory=list)
    columns: dict[int, int] = field(default_factory=dict)
    """By column."""

    @property
    def count(self) -> int:
        """The number of columns; 1 where they are not told apart."""
        return max(self.columns, default=0) + 1


class Plan:
    """What is drawn from tensors, and where it is counted."""

    def __init__(self, baseline: Baseline) -> None:
        """For the series of this baseline."""
        self._series = baseline.series
        self.width = FIRST_CELL + max(len(series.counts) for series in baseline.series)
        self._tensors: dict[Key, _Tensor] = {}
        for place, series in enumerate(baseline.series):
            tensor = self._tensors.setdefault((series.role, series.tensor), _Tensor())
            if series.column is None:
                tensor.whole.append(place)
            else:
                tensor.columns[series.column] = place
        self._random = np.random.default_rng()

    @property
    def activations(self) -> list[str]:
        """The tensors that reach activations, each once."""
        return [name for role, name in self._tensors if role == "activation"]

    def draw(self, role: Role, arrays: Mapping[str, Array], rows: int) -> Drawn:
        """Copies of some values of the tensors that have series, of at most MOST_ROWS of the rows."""
        chosen = choose_rows(rows, self._random)
        return {
            (role, name): draw_tensor(array, tensor.count, rows, chosen, self._random)
            for name, array in arrays.items()
            if (tensor := self._tensors.get((role, name))) is not None
        }

    def list_counts(self, drawn: Sequence[Drawn]) -> Sequence[tuple[int, Sequence[Array]]]:
        """Each series that has values among those drawn, and these."""
        pieces: dict[int, list[Array]] = {}
        for key, values in (item for each in drawn for item in each.items()):
            tensor = self._tensors[key]
            for place in tensor.whole:
                pieces.setdefault(place, []).append(values)
            if tensor.columns and values.shape[1] == tensor.count:
                for column, place in tensor.columns.items():
                    pieces.setdefault(place, []).append(values[:, column])
        return list(pieces.items())

    def count(self, place: int, pieces: Sequence[Array]) -> Tally:
        """The tally of the series at this place."""
        series: BaselineSeries = self._series[place]
        values = np.concatenate([piece.reshape(-1) for piece in pieces])
        return count_values(series, values, sum(len(piece) for piece in pieces), self.width)


def choose_rows(rows: int, random: np.random.Generator) -> Array:
    """The places of all rows of so many, or of MOST_ROWS of them."""
    return np.arange(rows) if rows <= MOST_ROWS else random.integers(rows, size=MOST_ROWS)


def draw_tensor(array: Array, columns: int, rows: int, chosen: Array, random: np.random.Generator) -> Array:
    """A copy of values at some places of the chosen rows [rows, columns, places].

    A tensor without such rows counts as one; columns of one with another number are not told apart.
    """
    if not array.ndim or array.shape[0] != rows:
        array, chosen = array.reshape(1, -1), np.zeros(1, np.intp)
    if array.ndim not in (_ROW, _IMAGE) or array.shape[1] != columns:
        columns = 1
    size = array.size // max(len(array) * columns, 1)
    most = max(MOST_VALUES // columns, 1)
    places = random.integers(size, size=most) if size > most else np.arange(size)
    # Rows and places at once: whole rows may be large, and this is done between requests.
    drawn = array.reshape(len(array), columns, size)[np.ix_(chosen, np.arange(columns), places)]
    return _shorten(drawn) if drawn.dtype.kind == "O" else drawn


def _shorten(texts: Array) -> Array:
    """The beginnings of the texts, since a whole one may be large."""
    short = [str(text)[:LONGEST_CATEGORY] for text in texts.reshape(-1).tolist()]
    return np.array(short, object).reshape(texts.shape)
