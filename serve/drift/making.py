"""A baseline made of live values, in the form in which a file holds one: see `convert.manifest.baseline`.

`convert.evidence.baseline` makes those of files. A server does without it, as without all that reads models.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from serve.drift.counting import count_categories, count_numbers
from serve.drift.plan import Key
from serve.engine.manifest import Json
from serve.engine.signature import Array

CELLS = 20
MOST_CATEGORIES = 20
TAIL = 0.0005
"""The share of the values on either side of the range."""


def make_baseline(rows: int, pieces: Mapping[Key, Sequence[Array]]) -> dict[str, Json]:
    """The baseline of these values, [rows, columns, places] in each piece of a tensor."""
    series = [each for key, arrays in pieces.items() for each in _list_series(key, arrays)]
    return {"rows": rows, "series": series}


def _list_series(key: Key, pieces: Sequence[Array]) -> Iterator[Json]:
    rows = sum(map(len, pieces))
    columns = {piece.shape[1] for piece in pieces}
    count = columns.pop() if len(columns) == 1 else 1
    for column in (None, *(range(count) if count > 1 else ())):
        values = [piece if column is None else piece[:, column] for piece in pieces]
        cells = _make_cells(np.concatenate([each.reshape(-1) for each in values]))
        if cells:
            role, tensor = key
            yield {"role": role, "tensor": tensor, "layer": "", "column": column, "rows": rows, **cells}


def _make_cells(values: Array) -> dict[str, Json]:
    """The cells of the values, empty where there is none; those of NaN and infinity alone have no range."""
    if values.dtype.kind in "OUSb" or (values.dtype.kind in "iu" and values.dtype.itemsize > 1):
        names = count_categories(values)
        shown: list[Json] = [*sorted(names, key=lambda name: (-names[name], name))[:MOST_CATEGORIES]]
        known = [names[str(name)] for name in shown]
        counts: list[Json] = [*known, values.size - sum(known)]
        return {"edges": [], "categories": shown, "counts": counts}
    numbers = values.astype(np.float64)
    finite = np.sort(numbers[np.isfinite(numbers)])
    if not finite.size:
        alone: dict[str, Json] = {"edges": [], "categories": [], "counts": [int(np.isinf(numbers).sum())]}
        return {**alone, "low": None, "high": None, "outside": 0.0} if numbers.size else {}
    low, high = np.quantile(finite, (TAIL, 1 - TAIL), method="nearest").tolist()
    edges = np.unique(finite[finite.size * np.arange(1, CELLS) // CELLS])
    edges = edges[edges > finite[0]]
    cells = {"edges": edges, "counts": count_numbers(edges, numbers[~np.isnan(numbers)])}
    outside = 1.0 - float(((numbers >= low) & (numbers <= high)).mean())
    lists: dict[str, Json] = {name: array.tolist() for name, array in cells.items()}
    return {**lists, "categories": [], "low": low, "high": high, "outside": outside}
