"""CIFAR-10's Python version: pickled batches, read without running code from the pickle.

A pickle is a program. This one is read opcode by opcode first: only those that build plain values are let
through, and the only names it may call stand for records of ours that remember what a numpy array would
have been made from; the array is then made here, from bytes whose number was checked.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptive_act.errors import DataError
from adaptive_act.study.formats.cifar_binary import BATCHES, CLASSES, SHAPE, TEST, join_batches
from adaptive_act.study.formats.raw import RawDataset, SampleSet, check_bytes, make_dataset, make_sample_set

LARGEST_BATCH = 64 * 2**20  # bytes; CIFAR-10's have 31 million
MOST_MEMO = 200_000  # entries, one for each file name and label at most
_ALLOWED = frozenset(
    (
        *("PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE"),
        *("INT", "BININT", "BININT1", "BININT2", "BINSTRING", "SHORT_BINSTRING", "BINBYTES"),
        *("SHORT_BINBYTES", "BINBYTES8", "BINUNICODE", "SHORT_BINUNICODE", "STRING", "UNICODE"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_DICT", "SETITEM", "SETITEMS", "DICT"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
        *("GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
    )
)
_PUT = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_REFUSALS = (
    *(pickle.UnpicklingError, ValueError, TypeError, AttributeError, EOFError),
    *(LookupError, OverflowError, MemoryError, RecursionError),
)


def matches(path: Path) -> bool:
    """Whether the folder has a batch of the Python version."""
    return (path / BATCHES[0]).is_file()


def read(path: Path) -> RawDataset:
    """The training batches that are there, joined, and the test batch.

    Raises DataError where the test batch is missing, or a file is anything but arrays of bytes with labels.
    """
    train = join_batches(path, [_read_batch(path / name) for name in BATCHES if (path / name).is_file()])
    if not (path / TEST).is_file():
        raise DataError(f"`{path}` lacks `{TEST}`, which belongs to the data set")
    return make_dataset(path.name, train, _read_batch(path / TEST), CLASSES)


def _read_batch(path: Path) -> SampleSet:
    check_bytes(path, path.stat().st_size, LARGEST_BATCH)
    content = _unpickle(path, path.read_bytes())
    samples, labels = content.get(b"data"), content.get(b"labels")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError(f"`{path}`: expected a list of whole numbers under `labels`")
    return make_sample_set(path, _read_pixels(path, samples, len(labels)), np.array(labels, np.int64))


def _unpickle(path: Path, content: bytes) -> dict[bytes, Any]:
    """The pickled dictionary, with records in place of arrays and names as bytes."""
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in _ALLOWED or (opcode.name in _PUT and int(argument or 0) > MOST_MEMO):
                raise pickle.UnpicklingError(f"opcode {opcode.name} {argument or ''}")
        batch = _Reader(io.BytesIO(content), encoding="bytes").load()
    except _REFUSALS as error:
        raise DataError(f"`{path}` is refused, it is no batch of CIFAR-10: {error}") from error
    if not isinstance(batch, dict):
        raise DataError(f"`{path}`: expected a dictionary, got a `{type(batch).__name__}`")
    return {key.encode() if isinstance(key, str) else key: value for key, value in batch.items()}


def _read_pixels(path: Path, samples: object, count: int) -> NDArray[np.uint8]:
    state = samples.state if isinstance(samples, _Array) else ()
    if len(state) != 5 or not isinstance(state[2], _ArrayType) or not isinstance(state[4], bytes):
        raise DataError(f"`{path}`: expected an array of bytes under `data`")
    _, shape, kind, by_columns, content = state
    width = SHAPE[0] * SHAPE[1] * SHAPE[2]
    if kind.code not in ("u1", b"u1") or by_columns or shape != (count, width):
        raise DataError(f"`{path}`: expected bytes [{count}, {width}] under `data`, got {kind.code} {shape}")
    if len(content) != count * width:
        raise DataError(f"`{path}`: expected {count * width:,} bytes under `data`, got {len(content):,}")
    return np.frombuffer(content, np.uint8).reshape(count, *SHAPE)


class _Array:
    """The state of a pickled array; it is not built here."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _ArrayType:
    """The dtype of a pickled array, by its code such as `u1`."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which a single byte does not have."""


def _array(*_: object) -> _Array:
    return _Array()


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    """Bytes, as Python 3 writes them into a pickle for Python 2."""
    return text.encode("latin1")


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _ArrayType,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand_in = _NAMES.get((module, name))
        if stand_in is None:
            raise pickle.UnpicklingError(f"it names `{module}.{name}`, which no batch of images needs")
        return stand_in

    def persistent_load(self, pid: object) -> Any:
        raise pickle.UnpicklingError("it refers to something outside the file")
