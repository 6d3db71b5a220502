"""The samples that a model is compared on: generated ones, extremes, and the user's own."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from convert.errors import UsageError
from convert.model_io.array import Array
from convert.model_io.inputs import FREE_SIZE, InputSpec, assign_batch

LARGEST_SAMPLES_FILE = 4 * 2**30  # bytes, unpacked
LARGEST_RUN = 64  # samples at a time
SMALLEST_LARGE_BATCH = 3  # samples in the largest generated batch, however much work they are
TYPICAL_NUMBERS = 2**19  # of the inputs in the largest generated batch: keeps parity cheap for images
SHOWN_NUMBERS = {"given": 2**22, "generated": 2**16}
"""Of the inputs whose activations are recorded: their histograms cost more than parity."""
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
# What NumPy and zipfile raise on damaged or forged archives.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, MemoryError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
FACTORS = {"normal": 1.0, "large": 1e4, "tiny": 1e-6, "zero": 0.0}
NON_FINITE = {"nan": (np.nan,), "inf": (np.inf, -np.inf)}


@dataclass(frozen=True, slots=True)
class SampleSet:
    """The arrays of one run, in the order of the inputs."""

    name: str
    arrays: tuple[Array, ...]
    typical: bool = False
    """Whether the outputs' typical scale is measured on these samples."""
    finite: bool = True
    """False where the samples hold NaN or Inf, which are reported and not judged."""
    given: bool = False
    """Whether the user gave them."""
    fixed: bool = False
    """Whether the model takes no other number of samples."""
    optional: bool = False
    """Whether the model may refuse the samples, which have other sizes than those that it must take."""


def generate_samples(inputs: Sequence[InputSpec], rows: int = LARGEST_RUN) -> tuple[SampleSet, ...]:
    """The sets that every model is compared on; the same on every call.

    Typical numbers in batches of one, two and many (or three times the fixed size), then extremes, then other
    sizes than FREE_SIZE where there are free ones besides the batch. Many are at least SMALLEST_LARGE_BATCH,
    and at most `rows`.
    """
    free = inputs[0].free_batch is not None
    random = np.random.default_rng(20240329)

    def run(name: str, batch: int, numbers: str, **marks: bool) -> SampleSet:
        sizes = assign_batch(inputs, batch)
        arrays = tuple(_generate_array(spec, sizes, numbers, random) for spec in inputs)
        return SampleSet(name, arrays, fixed=not free, **marks)

    sets = [
        run(f"typical, batch {batch}" if free else f"typical, {batch}", batch, "normal", typical=True)
        for batch in (1, 2, _choose_largest_batch(inputs, rows))
    ]
    if any(_is_float(spec) for spec in inputs):
        sets += [run(name, 1, name) for name in ("large", "tiny", "zero", "boundary")]
        sets += [run(name, 1, name, finite=False) for name in NON_FINITE]
    for name, sizes in _list_other_sizes(inputs):
        arrays = tuple(_generate_array(spec, sizes, "normal", random) for spec in inputs)
        sets.append(SampleSet(name, arrays, fixed=not free, optional=True))
    return tuple(sets)


def _list_other_sizes(inputs: Sequence[InputSpec]) -> Iterator[tuple[str, dict[str, int]]]:
    """Sizes of one sample: different ones for the free sizes, then a power of two for all of them."""
    batch = assign_batch(inputs, 1)
    names = [size for spec in inputs for size in spec.shape if isinstance(size, str) and size not in batch]
    different = {name: FREE_SIZE + 1 + place for place, name in enumerate(dict.fromkeys(names))}
    for sizes in (different, dict.fromkeys(different, 2 * FREE_SIZE)) if names else ():
        if sum(prod(spec.fill_sizes(batch | sizes)) for spec in inputs) <= TYPICAL_NUMBERS:
            yield f"other sizes, {', '.join(f'{name} {size}' for name, size in sizes.items())}", batch | sizes


def _choose_largest_batch(inputs: Sequence[InputSpec], rows: int) -> int:
    """As many samples as TYPICAL_NUMBERS allow, from SMALLEST_LARGE_BATCH to `rows`."""
    numbers = sum(prod(spec.fill_sizes(assign_batch(inputs, 1))) for spec in inputs)
    return max(min(TYPICAL_NUMBERS // max(numbers, 1), rows, LARGEST_RUN), SMALLEST_LARGE_BATCH)


def choose_shown_samples(sets: Sequence[SampleSet]) -> tuple[SampleSet, ...]:
    """The user's own samples, else a generated typical set; as many as SHOWN_NUMBERS allow."""
    given = [samples for samples in sets if samples.given]
    left = SHOWN_NUMBERS["given" if given else "generated"]
    shown: list[SampleSet] = []
    for samples in given or [samples for samples in sets if samples.typical][-1:]:
        size = sum(array.size for array in samples.arrays)
        if size <= left or not shown:
            shown.append(samples if size <= left else _take_share(samples, left / size))
        left -= size
    return tuple(shown)


def _take_share(samples: SampleSet, share: float) -> SampleSet:
    """The first samples, this share of the set, but at least one; a fixed batch stays whole."""
    counts = {array.shape[0] if array.ndim else 1 for array in samples.arrays}
    if len(counts) != 1 or samples.fixed:
        return samples
    count = max(int(counts.pop() * share), 1)
    return replace(samples, arrays=tuple(array[:count] for array in samples.arrays))


def take_sample(samples: SampleSet, place: int) -> SampleSet:
    """The set with only the sample at `place`; the whole set where the batch is fixed or has no axis."""
    counts = {array.shape[0] if array.ndim else 1 for array in samples.arrays}
    if samples.fixed or len(counts) != 1 or place >= counts.pop():
        return samples
    return replace(samples, arrays=tuple(array[place : place + 1] for array in samples.arrays))


def make_example(inputs: Sequence[InputSpec], batch: int = 2) -> tuple[Array, ...]:
    """One batch of typical numbers; the exporter traces one of two samples."""
    random = np.random.default_rng(7)
    return tuple(_generate_array(spec, assign_batch(inputs, batch), "normal", random) for spec in inputs)


def _is_float(spec: InputSpec) -> bool:
    return spec.dtype.startswith("float")


def _generate_array(
    spec: InputSpec, sizes: dict[str, int], numbers: str, random: np.random.Generator
) -> Array:
    shape = spec.fill_sizes(sizes)
    if not _is_float(spec):
        return np.asarray(random.integers(*_choose_integer_range(spec), shape), spec.dtype)
    return np.asarray(
        _generate_floats(numbers, shape, random), spec.dtype
    )  # without axes NumPy returns plain numbers


def _choose_integer_range(spec: InputSpec) -> tuple[int, int]:
    """The smallest integer that is tried, and one more than the largest."""
    if spec.below is not None:
        return 0, spec.below
    if spec.dtype in ("uint8", "int8"):  # too short for an index: images and quantised values
        limits = np.iinfo(spec.dtype)
        return int(limits.min), int(limits.max) + 1
    return 0, 2  # it may index a table of unknown length, where only these are always valid


def _generate_floats(numbers: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    normal: Array = np.asarray(random.standard_normal(shape))
    if numbers in FACTORS:
        return normal * FACTORS[numbers]
    if numbers == "boundary":
        return random.choice(BOUNDARY, shape)
    chosen = np.asarray(random.random(shape) < 0.02)
    chosen.reshape(-1)[:1] = True
    return np.where(chosen, random.choice(NON_FINITE[numbers], shape), normal)


def read_samples(path: Path, inputs: Sequence[InputSpec], name: str = "samples") -> tuple[SampleSet, ...]:
    """The user's own samples: an .npz file with one array per input, by name, samples along the first axis.

    Raises UsageError where the file is not that, or an array has another type or shape than its input.
    """
    arrays = _read_arrays(path, inputs, name)
    step = inputs[0].shape[0] if inputs[0].shape and isinstance(inputs[0].shape[0], int) else LARGEST_RUN
    counts = {array.shape[0] if array.ndim else 1 for array in arrays}
    if len(counts) != 1:
        raise UsageError(f"the arrays in `{path}` hold different numbers of samples: {sorted(counts)}")
    count = counts.pop()
    if count == 0 or (inputs[0].free_batch is None and count % step):
        raise UsageError(f"`{path}` holds {count} samples, expected a multiple of the fixed batch of {step}")
    starts = range(0, count, step)
    return tuple(
        SampleSet(
            f"given, {start}",
            tuple(array[start : start + step] for array in arrays),
            typical=True,
            given=True,
            fixed=inputs[0].free_batch is None,
        )
        for start in starts
    )


def _read_arrays(path: Path, inputs: Sequence[InputSpec], name: str) -> list[Array]:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{name} `{path}` are no file but a folder, a pipe or a device")
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_SAMPLES_FILE:
            raise UsageError(f"`{path}` unpacks to {size} bytes, expected at most {LARGEST_SAMPLES_FILE}")
        with np.load(path, allow_pickle=False) as archive:
            return [_read_array(archive, spec, path) for spec in inputs]
    except _UNREADABLE as error:
        raise UsageError(
            f"{name} `{path}` cannot be read: {str(error) or type(error).__name__}",
            hint="write them with numpy.savez",
        ) from error


def _read_array(archive: Any, spec: InputSpec, path: Path) -> Array:
    if spec.name not in archive.files:
        raise UsageError(f"`{path}` has no array `{spec.name}`; it holds {archive.files[:10]}")
    array: Array = archive[spec.name]
    if not isinstance(array, np.ndarray):
        raise UsageError(f"`{spec.name}` in `{path}` is no array", hint="write them with numpy.savez")
    shape = (None, *spec.shape[1:]) if spec.shape else ()
    fits = array.ndim == len(shape) and all(
        not isinstance(expected, int) or expected == size
        for expected, size in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.name != spec.dtype:
        raise UsageError(
            f"array `{spec.name}` in `{path}` is {array.dtype.name}{list(array.shape)}, "
            f"expected {spec.dtype}{spec.shape_text}"
        )
    return array
