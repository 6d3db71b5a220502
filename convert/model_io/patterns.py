"""The numbers that fill the array of an input: typical ones, extremes, and whole numbers of a range."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convert.model_io.array import TEXT, Array, get_dtype
from convert.model_io.inputs import InputSpec
from convert.model_io.levels import fill_levels

# Where activations bend or saturate, and float32 numbers close to zero.
BOUNDARY = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    3.0,
    -3.0,
    6.0,
    -6.0,
    20.0,
    -20.0,
    1.2e-7,
    -1.2e-7,
    1e-30,
    -1e-30,
)
TYPICAL = "typical"
FACTORS = {TYPICAL: 1.0, "large": 1e4, "tiny": 1e-6, "zero": 0.0}
NON_FINITE = {"nan": (np.nan,), "inf": (np.inf, -np.inf)}
LEVELS = "levels"
"""The pattern of an input that trees read: about the numbers at which they turn."""
LEAST, MOST, ROW_OF_LEAST, ROW_OF_MOST, WIDE = "least", "most", "row of least", "row of most", "wide"
"""The patterns of whole numbers and truth values, the first four at the ends of typical ones; a float input
has typical numbers beside them."""


@dataclass(frozen=True, slots=True)
class IntegerRange:
    """The whole numbers that are tried at an input, `least` to `most`; truth values are 0 and 1."""

    least: int
    most: int
    typical: tuple[int, int]
    """The least and the largest of typical samples: 0 and 1 for a mask that takes other numbers too."""
    is_whole: bool = True
    """Whether there are no others, by the type, the user or the model; False where that is not known."""

    @property
    def is_binary(self) -> bool:
        """Whether typical samples are 0 and 1, as of a mask."""
        return self.typical == (0, 1)


def choose_ranges(inputs: Sequence[InputSpec]) -> dict[str, IntegerRange]:
    """The range of each input of whole numbers or truth values, as its description has it."""
    return {spec.name: _choose_range(spec) for spec in inputs if not (is_float(spec) or spec.dtype == TEXT)}


def _choose_range(spec: InputSpec) -> IntegerRange:
    if spec.below is not None:
        return IntegerRange(0, spec.below - 1, (0, spec.below - 1))
    if spec.dtype == "bool":
        return IntegerRange(0, 1, (0, 1))
    if spec.dtype in ("uint8", "int8"):  # too short for an index: images and quantised values
        limits = np.iinfo(spec.dtype)
        least, most = int(limits.min), int(limits.max)
        return IntegerRange(least, most, (least, most))
    # It may index a table of unknown length, where only these are always valid.
    return IntegerRange(0, 1, (0, 1), is_whole=False)


def is_float(spec: InputSpec) -> bool:
    """Whether the input holds floating point numbers."""
    return spec.dtype.startswith("float")


def fill_array(
    spec: InputSpec,
    shape: tuple[int, ...],
    pattern: str,
    integers: IntegerRange | None,
    random: np.random.Generator,
) -> Array:
    """The input's array; `integers` is the range of an input that is not of floats."""
    if spec.dtype == TEXT:
        return np.asarray(random.choice(spec.texts, shape), get_dtype(TEXT))
    if pattern == LEVELS and len(shape) == 2 and len(spec.levels) == shape[1]:
        return fill_levels(spec, shape[0], random)
    numbers = (
        _fill_floats(shape, pattern, random)
        if integers is None
        else _fill_integers(shape, pattern, integers, random)
    )
    return np.asarray(numbers, spec.dtype)  # without axes NumPy gives plain numbers


def _fill_floats(shape: tuple[int, ...], pattern: str, random: np.random.Generator) -> Array:
    normal: Array = np.asarray(random.standard_normal(shape))
    if pattern == "one":
        return np.ones(shape)
    if pattern == "boundary":
        return random.choice(BOUNDARY, shape)
    if pattern not in NON_FINITE:
        return normal * FACTORS.get(pattern, 1.0)
    chosen = np.asarray(random.random(shape) < 0.02)
    chosen.reshape(-1)[:1] = True
    return np.where(chosen, random.choice(NON_FINITE[pattern], shape), normal)


def _fill_integers(
    shape: tuple[int, ...], pattern: str, integers: IntegerRange, random: np.random.Generator
) -> Array:
    if pattern == WIDE:
        return _spread(shape, integers, random)
    low, high = integers.typical
    numbers: Array = np.asarray(random.integers(low, high, shape, np.int64, endpoint=True))
    if pattern == LEAST:
        numbers[...] = low
    elif pattern == MOST:
        numbers[...] = high
    elif pattern in (ROW_OF_LEAST, ROW_OF_MOST):
        first_row = numbers[..., 0, :] if numbers.ndim > 1 else numbers[:1]
        first_row[...] = low if pattern == ROW_OF_LEAST else high
    return numbers


def _spread(shape: tuple[int, ...], integers: IntegerRange, random: np.random.Generator) -> Array:
    """Numbers of every magnitude in the range, among them its ends and, if there are negative ones, -1."""
    above = random.integers(0, integers.most, shape, np.int64, endpoint=True)
    below = random.integers(integers.least, 0, shape, np.int64, endpoint=True)
    chosen = np.where(random.random(shape) < 0.5, above, below)
    numbers: Array = np.asarray(chosen >> random.integers(0, 63, shape))
    ends = [integers.most, integers.least, *([-1] if integers.least < 0 else [])]
    numbers.reshape(-1)[: len(ends)] = ends[: numbers.size]
    return numbers
