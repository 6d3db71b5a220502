"""The baseline in a model's file, as arrays to count live values by.

A file may hold anything: what does not fit is refused as a whole, and the model is served without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite, isnan, nan
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from convert.manifest.baseline import LONGEST_CATEGORY, Role
from serve.engine.errors import quote
from serve.engine.manifest import Json
from serve.engine.signature import Signature, TensorSpec

ROLES: tuple[Role, ...] = ("input", "output", "activation")
MOST_SERIES = 1024
MOST_CELLS = 64
MOST_COLUMNS = 64
MOST_ACTIVATIONS = 64
LONGEST_NAME = 1024
LARGEST_COUNT = 2**53

Cells = NDArray[np.float64]


class BaselineError(ValueError):
    """The baseline in a file is none that live values can be compared with."""


@dataclass(frozen=True, slots=True, eq=False)
class BaselineSeries:
    """One tensor or column: its cells, and what share of so many rows of real data each holds."""

    role: Role
    tensor: str
    """Under the name by which the server knows it."""
    layer: str
    column: int | None
    rows: int
    edges: Cells
    categories: tuple[str, ...]
    counts: Cells
    low: float
    high: float
    """NaN, as `low`, for categories, and where no value was finite."""
    outside: float

    @property
    def has_range(self) -> bool:
        """False for categories, and where no value was finite."""
        return not isnan(self.low)

    @property
    def shares(self) -> Cells:
        """The share of real data in each cell."""
        return np.asarray(self.counts / max(self.counts.sum(), 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What a model's tensors held on so many rows of real data."""

    rows: int
    series: tuple[BaselineSeries, ...]
    digest: str
    """Equal for equal baselines only."""


def read_baseline(content: Json, signature: Signature, own_outputs: Sequence[str]) -> Baseline:
    """The baseline in a model's file; raises `BaselineError` for what is none, or another model's.

    `own_outputs` are the outputs' names in the file, which may be served under others.
    """
    _require(isinstance(content, dict), "it is no object")
    baseline: Any = content
    rows, records = baseline.get("rows"), baseline.get("series")
    _require(_is_count(rows) and rows > 0, "`rows` is no number of rows")
    _require(isinstance(records, list) and 0 < len(records) <= MOST_SERIES, "`series` is no list of series")
    specs: dict[tuple[Role, str], TensorSpec] = {("input", spec.name): spec for spec in signature.inputs}
    specs |= {("output", name): spec for name, spec in zip(own_outputs, signature.outputs, strict=True)}
    series = tuple(_read_series(record, specs) for record in records)
    has_values = any(each.has_range or each.categories for each in series)
    _require(has_values, "it holds no finite number and no category to compare with")
    reaching = {each.tensor for each in series if each.role == "activation"}
    _require(len(reaching) <= MOST_ACTIVATIONS, f"more than {MOST_ACTIVATIONS} tensors reach activations")
    try:
        text = orjson.dumps(content)
    except orjson.JSONEncodeError as error:  # it reads deeper nesting than it writes
        raise BaselineError(f"it is nested too deeply: {error}") from error
    return Baseline(rows, series, sha256(text).hexdigest())


def _read_series(record: Any, specs: Mapping[tuple[Role, str], TensorSpec]) -> BaselineSeries:
    _require(isinstance(record, dict), "a series is no object")
    role, tensor, layer, column = (record.get(key) for key in ("role", "tensor", "layer", "column"))
    _require(role in ROLES, f"a series has the role {quote(role)}")
    _require(_is_text(tensor, LONGEST_NAME) and _is_text(layer, LONGEST_NAME), "a series has no name")
    where = f"the series of {role} {quote(tensor)}"
    _require(column is None or (_is_count(column) and column < MOST_COLUMNS), f"{where} has a wrong column")
    rows = record.get("rows")
    _require(_is_count(rows) and rows > 0, f"{where} has no number of rows")
    edges, categories = _read_edges(record, where), _read_categories(record, where)
    if role != "activation":
        spec = specs.get((role, tensor))
        _require(spec is not None, f"{where}: the model has no such {role}")
        tensor = _require_kind(spec, where, is_naming=bool(categories))
    counts = _read_counts(record, (len(categories) or len(edges)) + 1, where)
    has_range = record.get("low") is not None or len(edges) > 0
    bounds = _read_range(record, where) if has_range and not categories else (nan, nan, 0.0)
    _require(counts.sum() > 0 or not (has_range or categories), f"{where} has no counts")
    return BaselineSeries(role, tensor, layer, column, rows, edges, categories, counts, *bounds)


def _require_kind(spec: TensorSpec | None, where: str, *, is_naming: bool) -> str:
    """The tensor's served name; raises `BaselineError` for numbers of a tensor of texts, or the reverse."""
    assert spec is not None
    kind = spec.datatype.dtype.kind
    _require(is_naming or kind not in "OV", f"{where} has edges, and the tensor holds no numbers")
    _require(not is_naming or kind != "f", f"{where} has categories, and the tensor holds numbers")
    return spec.name


def _read_counts(record: Any, cells: int, where: str) -> Cells:
    counts = record.get("counts")
    _require(isinstance(counts, list) and len(counts) == cells, f"{where} has not {cells} counts")
    _require(all(map(_is_count, counts)), f"{where} has counts that are none")
    return np.array(counts, np.float64)


def _read_range(record: Any, where: str) -> tuple[float, float, float]:
    low, high, outside = (record.get(key) for key in ("low", "high", "outside"))
    _require(all(map(_is_number, (low, high, outside))), f"{where} has no range")
    _require(low <= high and 0 <= outside <= 1, f"{where} has a range that is none")
    return float(low), float(high), float(outside)


def _read_edges(record: Any, where: str) -> Cells:
    edges = record.get("edges")
    _require(isinstance(edges, list) and len(edges) < MOST_CELLS, f"{where} has no edges, or too many")
    _require(all(map(_is_number, edges)), f"{where} has an edge that is no number")
    numbers = np.array(edges, np.float64)
    _require(bool((np.diff(numbers) > 0).all()), f"{where} has edges that do not rise")
    return numbers


def _read_categories(record: Any, where: str) -> tuple[str, ...]:
    names = record.get("categories")
    _require(isinstance(names, list) and len(names) < MOST_CELLS, f"{where} has no categories, or too many")
    _require(
        all(_is_text(name, LONGEST_CATEGORY) for name in names) and len(set(names)) == len(names),
        f"{where} has wrong categories",
    )
    _require(not (names and record["edges"]), f"{where} has edges and categories")
    return tuple(names)


def _require(fits: bool, problem: str) -> None:
    if not fits:
        raise BaselineError(problem)


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(float(value))
