"""Inputs on which providers are compared and timed: random numbers as the model's file describes them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from adaptact.languages.catalogue import mark
from serve.engine.joining import has_rows
from serve.engine.manifest import Json, read_integer_limits
from serve.engine.signature import Array, Signature, TensorSpec

SIZES = (64, 224, 1)
"""Of what varies besides the rows: the first that the model takes."""
MOST_NUMBERS = 2**24
"""Of one sample of all inputs: a larger one is not made."""
STRANGE = (2**20, 2**40 + 1)
"""More than any table of words has rows, and what 32 bits do not hold."""
INTEGERS = 2
"""Whole numbers are below it where the manifest does not say how many there are."""


def find_unmade(signature: Signature) -> str:
    """Why no inputs can be made up, in words; empty where they can."""
    kinds = {
        "BYTES": mark("it takes texts, of which none are made up"),
        "BF16": mark("it takes bfloat16, of which none are made up"),
    }
    found = [kinds[spec.datatype.name] for spec in signature.inputs if spec.datatype.name in kinds]
    if found:
        return found[0]
    return "" if signature.inputs else mark("it has no inputs")


def make_inputs(
    signature: Signature, manifest: Mapping[str, Json] | None, rows: int, size: int, seed: int
) -> dict[str, Array]:
    """So many rows, with `size` for each other size that varies, or what its bounds allow near it."""
    generator = np.random.default_rng(seed)
    batched, ranges, bounds = has_rows(signature), _read_ranges(manifest), read_integer_limits(manifest)
    made = {}
    for spec in signature.inputs:
        shape = _choose_shape(spec, rows if batched else None, size)
        if np.prod(shape, dtype=np.float64) > MOST_NUMBERS:
            raise ValueError(f"a sample of shape {shape} is too large")
        low, high = ranges.get(spec.name, (None, None))
        made[spec.name] = _draw(spec, shape, generator, (low, high), bounds.get(spec.name, INTEGERS))
    return made


def make_strange(inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """The inputs with one whole number that hardly any model has a place for, at one input after another."""
    for name, array in inputs.items():
        if np.issubdtype(array.dtype, np.integer) and array.size:
            for number in {_limit(number, array.dtype) for number in STRANGE}:
                strange = array.copy()
                strange.flat[0] = number
                yield {**inputs, name: strange}


def _choose_shape(spec: TensorSpec, rows: int | None, size: int) -> list[int]:
    shape = [dim if isinstance(dim, int) else size for dim in spec.shape]
    for axis, bounds in spec.bounds.items():
        shape[axis] = bounds.fit(size)
    if rows is not None:
        shape[0] = spec.bounds[0].fit(rows) if 0 in spec.bounds else rows
    return shape


def _draw(
    spec: TensorSpec,
    shape: Sequence[int],
    generator: np.random.Generator,
    limits: tuple[float | None, float | None],
    below: int,
) -> Array:
    dtype = spec.datatype.dtype
    if dtype == np.bool_ or np.issubdtype(dtype, np.integer):
        most = 2 if dtype == np.bool_ else _limit(below, dtype)
        return generator.integers(0, max(most, 1), shape).astype(dtype)
    low, high = limits
    if low is not None and high is not None:
        return generator.uniform(low, high, shape).astype(dtype)
    return generator.standard_normal(shape).astype(dtype)


def _limit(number: int, dtype: np.dtype[np.generic]) -> int:
    """The number, or the largest of the type."""
    bits = 8 * dtype.itemsize - (dtype.kind == "i")
    largest: int = 2**bits - 1
    return min(number, largest)


def _read_ranges(manifest: Mapping[str, Json] | None) -> dict[str, tuple[float, float]]:
    """Between which values each input lay on real data, over all its columns, where the manifest says so."""
    baseline = (manifest or {}).get("baseline")
    series = baseline.get("series") if isinstance(baseline, dict) else None
    ranges: dict[str, tuple[float, float]] = {}
    for entry in series if isinstance(series, list) else ():
        if not isinstance(entry, dict) or entry.get("role") != "input":
            continue
        name, low, high = entry.get("tensor"), entry.get("low"), entry.get("high")
        if isinstance(name, str) and isinstance(low, int | float) and isinstance(high, int | float):
            known = ranges.get(name, (low, high))
            ranges[name] = min(known[0], low), max(known[1], high)
    return ranges
