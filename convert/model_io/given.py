"""The user's own samples, from an .npz file."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptact.languages.catalogue import mark
from convert.errors import UsageError
from convert.model_io.array import Array, get_dtype, name_dtype
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import LARGEST_RUN, SampleSet

LARGEST_SAMPLES_FILE = 4 * 2**30  # bytes, unpacked
UNREADABLE = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, MemoryError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
"""What NumPy and zipfile raise on damaged or forged archives."""


def read_samples(path: Path, inputs: Sequence[InputSpec], name: str = "samples") -> tuple[SampleSet, ...]:
    """The user's own samples: an .npz file with one array per input, by name, samples along the first axis.

    An input without axes has one number for all samples. Raises UsageError where the file is not that, or an
    array has another type or shape than its input.
    """
    arrays = _read_arrays(path, inputs, name)
    step = _choose_step(inputs[0])
    counts = {array.shape[0] for array in arrays if array.ndim} or {1}  # a lone number is that of all samples
    if len(counts) != 1:
        raise UsageError(f"the arrays in `{path}` hold different numbers of samples: {sorted(counts)}")
    count = counts.pop()
    if count == 0:
        raise UsageError(f"`{path}` holds 0 samples, expected at least 1")
    if inputs[0].free_batch is None and count % step:
        raise UsageError(f"`{path}` holds {count} samples, expected a multiple of the fixed batch of {step}")
    starts = range(0, count, step)
    _require_batches(path, inputs[0], {min(step, count - start) for start in starts})
    return tuple(
        SampleSet(
            f"given, {start}",
            tuple(array[start : start + step] if array.ndim else array for array in arrays),
            typical=True,
            given=True,
            fixed=inputs[0].free_batch is None,
        )
        for start in starts
    )


def describe_undefined(sets: Sequence[SampleSet], inputs: Sequence[InputSpec]) -> tuple[str, ...]:
    """A line for each input that is NaN or infinite in some of the user's samples."""
    lines = []
    for place, spec in enumerate(inputs):
        arrays = [samples.arrays[place] for samples in sets]
        numbers, rows = count_undefined(arrays)
        if numbers:
            count = sum(len(array) if array.ndim else 1 for array in arrays)
            lines.append(
                mark(
                    "the samples hold {numbers} NaN or infinite numbers of `{name}`, in {rows} of {count} "
                    "samples; baselines and budgets leave out what is not finite: take such samples out if "
                    "the model is not meant to get them"
                ).format(name=spec.name, numbers=f"{numbers:,}", rows=f"{rows:,}", count=f"{count:,}")
            )
    return tuple(lines)


def count_undefined(arrays: Sequence[Array]) -> tuple[int, int]:
    """How many numbers of the arrays are NaN or infinite, and in how many samples, along the first axis."""
    numbers = rows = 0
    for array in arrays:
        if array.dtype.kind == "f":
            wrong = ~np.isfinite(array)
            numbers += int(wrong.sum())
            rows += int(wrong.reshape(len(array), -1).any(axis=1).sum() if array.ndim else wrong)
    return numbers, rows


def _choose_step(first: InputSpec) -> int:
    """How many samples are run at once: the fixed batch, else LARGEST_RUN, or the nearest within bounds."""
    if first.free_batch is not None:
        return first.get_bounds(first.free_batch).fit(LARGEST_RUN)
    return int(first.shape[0]) if first.shape else 1


def _require_batches(path: Path, first: InputSpec, batches: set[int]) -> None:
    if first.free_batch is None:
        return
    bounds = first.get_bounds(first.free_batch)
    wrong = next((batch for batch in batches if not bounds.allow(batch)), None)
    if wrong is not None:
        raise UsageError(f"`{path}` leaves a batch of {wrong} samples, expected `{bounds.text}`")


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
    except UNREADABLE as error:
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
        expected is None
        or (expected == size if isinstance(expected, int) else spec.get_bounds(expected).allow(size))
        for expected, size in zip(shape, array.shape, strict=True)
    )
    if not fits or name_dtype(array.dtype) != spec.dtype:
        raise UsageError(
            f"array `{spec.name}` in `{path}` is {name_dtype(array.dtype)}{list(array.shape)}, "
            f"expected {spec.dtype}{spec.shape_text}"
        )
    return array.astype(get_dtype(spec.dtype), copy=False)
