"""Arrays in an .npz file: those that are stored as they are, are read row by row, the others as a whole."""

import hashlib
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np

from serve.client.batch.columns import cast_to_input, list_names
from serve.client.batch.offline.batches import ArrayBatch, Batch
from serve.client.batch.offline.shards import Shard, ShardSize, read_stamp
from serve.client.batch.rows import UNREADABLE
from serve.client.errors import InvalidFileError
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata, TensorMetadata

PACKED_BYTES = 2**30
LOCAL_HEADER = struct.Struct("<4s22xHH")

_reading = Lock()


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array in the archive, and where its rows begin in the file."""

    member: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int | None
    """None of one that is compressed, or whose columns come first: it is read as a whole."""

    @property
    def row_bytes(self) -> int:
        """The size of a row."""
        return self.dtype.itemsize * prod(self.shape[1:])


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """The arrays for a model's inputs."""

    path: Path
    stamp: tuple[int, int]
    arrays: Mapping[str, StoredArray]
    specs: tuple[TensorMetadata, ...]
    checks: str = field(compare=False)
    """What the archive says of its members: their names, sizes and checksums."""

    def fingerprint(self) -> str:
        """The digest of the members' names, sizes and checksums.

        Raises `InvalidFileError` where a checksum is wrong.
        """
        stored = [array.member for array in self.arrays.values() if array.offset is not None]
        try:
            with zipfile.ZipFile(self.path) as archive:
                for member in stored:  # the others are compared as they are unpacked
                    _read_to_the_end(archive, member)
        except UNREADABLE as error:
            raise InvalidFileError(f"`{self.path}` cannot be read as an .npz file: {error}") from error
        return self.checks

    def cut(self, size: ShardSize) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Shards of rows."""
        arrays = self.arrays.values()
        size = size.limit(sum(array.row_bytes for array in arrays))
        rows = next(iter(arrays)).shape[0]
        return ((stop - start, ()) for start, stop in size.cut(rows))

    def read(self, shard: Shard, batch: int) -> Iterator[Batch]:
        """The rows of each array."""
        packed = tuple(array.member for array in self.arrays.values() if array.offset is None)
        whole = _read_once(self.path, self.stamp, packed) if packed else {}
        for start in range(shard.first, shard.first + shard.rows, batch):
            stop = min(start + batch, shard.first + shard.rows)
            arrays = {name: self._read_rows(array, whole, start, stop) for name, array in self.arrays.items()}
            yield ArrayBatch(start + 1, self.specs, arrays)

    def _read_rows(self, array: StoredArray, whole: Mapping[str, Array], start: int, stop: int) -> Array:
        if array.offset is None:
            return whole[array.member][start:stop]
        count, offset = (stop - start) * prod(array.shape[1:]), array.offset + start * array.row_bytes
        try:
            values = np.fromfile(self.path, array.dtype, count, offset=offset)
        except OSError as error:
            raise InvalidFileError(f"`{self.path}` cannot be read: {error.strerror}") from error
        if len(values) != count:
            raise InvalidFileError(f"`{self.path}` ends before the rows of its array `{array.member}`")
        return values.reshape(stop - start, *array.shape[1:])


def open_arrays(path: Path, model: ModelMetadata) -> ArrayFile:
    """The arrays, which fit the model; raises `InvalidFileError`."""
    stamp = read_stamp(path)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            arrays = {
                info.filename.removesuffix(".npy"): _describe(stream, archive, info) for info in members
            }
    except UNREADABLE as error:
        raise InvalidFileError(f"`{path}` cannot be read as an .npz file: {error}") from error
    _check_size(path, members, arrays)
    checks = "".join(f"{info.filename}\0{info.CRC}\0{info.file_size}\0" for info in members)
    digest = hashlib.sha256(checks.encode("utf-8", "surrogateescape")).hexdigest()
    return ArrayFile(path, stamp, _fit(path, arrays, model), model.inputs, digest)


def _read_to_the_end(archive: zipfile.ZipFile, member: str) -> None:
    """Raises `BadZipFile` where the content has another checksum."""
    with archive.open(member) as content:
        while content.read(2**20):
            pass


def _describe(stream: IO[bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> StoredArray:
    """The array's dtype and shape, by its header alone."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read(member)
        header = member.tell()
    if dtype.hasobject:
        raise ValueError(f"array `{info.filename}` holds objects of Python")
    np.empty((0, *shape[1:]), dtype)  # raises ValueError for sizes that no array has
    if header + prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"array `{info.filename}` has other bytes than its header says")
    is_plain = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1 and not is_fortran
    offset = _find_content(stream, info) + header if is_plain else None
    return StoredArray(info.filename, dtype, shape, offset)


def _find_content(stream: IO[bytes], info: zipfile.ZipInfo) -> int:
    stream.seek(info.header_offset)
    _, name, extra = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
    return info.header_offset + LOCAL_HEADER.size + int(name) + int(extra)


def _check_size(path: Path, members: list[zipfile.ZipInfo], arrays: Mapping[str, StoredArray]) -> None:
    whole = {array.member for array in arrays.values() if array.offset is None}
    size = sum(info.file_size for info in members if info.filename in whole)
    if size > PACKED_BYTES:
        raise InvalidFileError(
            f"`{path}` unpacks to {size} bytes, at most {PACKED_BYTES}; save it with `np.savez`, which does "
            "not compress, rows first: then it is read row by row, however large it is"
        )


def _fit(path: Path, arrays: Mapping[str, StoredArray], model: ModelMetadata) -> dict[str, StoredArray]:
    """The array of each input; one array alone is that of a model with one input."""
    names = [spec.name for spec in model.inputs]
    if len(arrays) == len(names) == 1:
        arrays = {names[0]: next(iter(arrays.values()))}
    if set(arrays) != set(names) or not names:
        raise InvalidFileError(
            f"`{path}` holds the arrays {list_names(sorted(arrays))}, model `{model.name}` takes "
            f"{list_names(names)}"
        )
    for spec in model.inputs:
        array = arrays[spec.name]
        none = np.empty((0, *array.shape[1:]) if array.shape else (), array.dtype)
        try:
            cast_to_input(spec, none)
        except InvalidFileError as error:
            shapes = str(list(none.shape)), str(list(array.shape))
            raise InvalidFileError(str(error).replace(*shapes, 1)) from error
    lengths = {name: array.shape[0] for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        raise InvalidFileError(f"`{path}` has no row, or not as many for each input: {lengths}")
    return {name: arrays[name] for name in names}


def _read_once(path: Path, stamp: tuple[int, int], members: tuple[str, ...]) -> dict[str, Array]:
    """What `_read_whole` reads, once for all threads that ask for it at the same time."""
    with _reading:
        return _read_whole(path, stamp, members)


@lru_cache(maxsize=1)
def _read_whole(path: Path, stamp: tuple[int, int], members: tuple[str, ...]) -> dict[str, Array]:
    """The arrays of these members, which are within PACKED_BYTES together."""
    arrays: dict[str, Array] = {}
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            for member in members:
                with archive.open(member) as packed:
                    arrays[member] = np.lib.format.read_array(packed, allow_pickle=False)
        return arrays
    except UNREADABLE as error:
        raise InvalidFileError(f"`{path}` cannot be read as an .npz file: {error}") from error
