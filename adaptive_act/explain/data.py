"""Samples from a `.npz` file: an array for each input of the model, and optionally `labels`."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptive_act.checkpoint.description import TensorSpec
from adaptive_act.errors import ExplainError
from adaptive_act.swapping.outputs import Example

LABELS = "labels"
BATCH = 256
LARGEST = 4 * 2**30
"""Bytes of all arrays, unpacked."""
_NUMBERS = "fiub"  # the kinds of numpy's types that torch has
# What numpy raises on a file that is damaged, encrypted, of a kind of its own or too large.
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class SampleBatches:
    """The samples in batches, each as the model is called, and their labels [n] in the same batches."""

    batches: tuple[Example, ...]
    labels: tuple[Tensor, ...] | None

    @property
    def labelled(self) -> list[tuple[Example, Tensor]]:
        """Each batch with its labels; none where there are no labels."""
        return list(zip(self.batches, self.labels or (), strict=False))


def read_data(path: Path, inputs: Sequence[TensorSpec], batch: int = BATCH) -> SampleBatches:
    """The samples in `path`, in the inputs' order and dtypes.

    Raises ExplainError where an array is missing, does not fit its input or has another number of samples
    than the others. Arrays of Python objects are refused: reading them could run code.
    """
    arrays = _read_arrays(path, [*(spec.name for spec in inputs)])
    for spec in inputs:
        _check_array(arrays[spec.name], spec, path)
    if LABELS in arrays and (arrays[LABELS].ndim != 1 or arrays[LABELS].dtype.kind not in _NUMBERS):
        found = f"{arrays[LABELS].dtype} {list(arrays[LABELS].shape)}"
        raise ExplainError(f"`{path}`: array `{LABELS}` is {found}, expected one number a sample")
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or not min(counts.values()):
        raise ExplainError(f"`{path}` should hold equally many samples in each array, got {counts}")
    tensors = [_to_tensor(arrays[spec.name]).to(getattr(torch, spec.dtype)) for spec in inputs]
    labels = _to_tensor(arrays[LABELS]) if LABELS in arrays else None
    return SampleBatches(
        batches=tuple(zip(*(torch.split(tensor, batch) for tensor in tensors), strict=True)),
        labels=None if labels is None else torch.split(labels, batch),
    )


def _read_arrays(path: Path, names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    """The arrays of these names, and the labels if there are any."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array, without a name")
            entries = archive.zip.infolist() if archive.zip is not None else []
            size = sum(entry.file_size for entry in entries)
            if size > LARGEST:
                raise ValueError(f"it unpacks to {size} bytes, expected at most {LARGEST}")
            return _select_arrays(archive, names, path)
    except _UNREADABLE as error:
        raise ExplainError(f"`{path}` cannot be read as a .npz file: {error}") from error


def _select_arrays(
    archive: Mapping[str, NDArray[Any]], names: Sequence[str], path: Path
) -> dict[str, NDArray[Any]]:
    arrays = {
        name: array
        for name in (*names, LABELS)
        if name in archive and isinstance(array := archive[name], np.ndarray)  # another file is bytes
    }
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ExplainError(
            f"`{path}` has no array `{missing[0]}`: expected one for each of the model's inputs "
            f"({', '.join(names)}) and `{LABELS}` if known, got {', '.join(archive) or 'none'}"
        )
    return arrays


def _to_tensor(array: NDArray[Any]) -> Tensor:
    """The numbers as a tensor; torch has no other byte order than the machine's, and no longer floats."""
    is_long = array.dtype.kind == "f" and array.dtype.itemsize > np.dtype(np.float64).itemsize
    kind = np.dtype(np.float64) if is_long else array.dtype.newbyteorder("=")
    return torch.from_numpy(array.astype(kind, copy=False))


def _check_array(array: NDArray[Any], spec: TensorSpec, path: Path) -> None:
    fits = array.ndim == len(spec.shape) and all(
        not isinstance(size, int) or size == actual
        for size, actual in zip(spec.shape[1:], array.shape[1:], strict=True)
    )
    if not fits or array.dtype.kind not in _NUMBERS or array.ndim == 0:
        raise ExplainError(
            f"`{path}`: array `{spec.name}` is {array.dtype} {list(array.shape)}, expected numbers of shape "
            f"{[size if isinstance(size, int) else 'any' for size in spec.shape]}, samples first"
        )
