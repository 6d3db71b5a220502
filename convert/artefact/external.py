"""Weights beside the file: for models that one protobuf file, of at most 2 GiB, cannot hold.

The data file has a name of its own, made of its content, and is on the disk before the ONNX file that names
it takes its place. So no ONNX file ever stands without its data: until then the old pair is as it was.
"""

import contextlib
import hashlib
import mmap
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import onnx_ir as ir

from adaptact.files import replace_file
from convert.artefact.placement import Placement
from convert.errors import DestinationError, UsageError
from convert.manifest.manifest import DataRecord

LARGEST = 1_500_000_000  # bytes; protobuf ends at 2 GiB, and checkers and runtimes copy
SMALLEST = 1024  # bytes of a tensor that goes beside the file: what shapes are computed from stays inside
_STEP, _PAGE, _LARGE = (
    64,
    4096,
    2**20,
)  # bytes: a tensor that is large begins on a page, so that it can be mapped


@dataclass(frozen=True, slots=True)
class Placed:
    """A model as it will be written; the file of its weights, where `data` tells of one, is in `folder`."""

    model: ir.Model
    folder: Path
    data: DataRecord | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    value: ir.Value
    tensor: ir.TensorProtocol
    gap: int
    offset: int


@contextlib.contextmanager
def placed(model: ir.Model, destination: Path, mode: Placement = "auto") -> Iterator[Placed]:
    """The model, with its weights beside `destination` where the mode, or their size, asks for that.

    The model given is left as it is. After an error in the block the data file is gone again; else that of
    the ONNX file which stood there before is. Raises DestinationError where it cannot be written.
    """
    if mode not in get_args(Placement):
        raise UsageError(f"external data `{mode}` is not one of: {', '.join(get_args(Placement))}")
    before = _data_of(destination)
    split = model.clone()
    pieces = list(_pieces(split)) if mode == "always" or (mode == "auto" and weights(model) > LARGEST) else []
    if pieces:
        record = _record(destination, pieces)
        with _written(destination.parent, record, pieces):
            for piece in pieces:
                piece.value.const_value = _reference(piece, record.name, destination.parent)
            yield Placed(split, destination.parent, record)
    else:
        yield Placed(model, destination.parent)
    for name in before - _data_of(destination):
        with contextlib.suppress(OSError):  # the new pair stands, whatever becomes of the old one
            (destination.parent / name).unlink()


def weights(model: ir.Model) -> int:
    """The bytes of the weights that the model itself holds, those beside it left out."""
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return sum(one.nbytes for one in tensors if one is not None and not isinstance(one, ir.ExternalTensor))


def _pieces(model: ir.Model) -> Iterator[_Piece]:
    end = 0
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.nbytes >= SMALLEST and tensor.dtype != ir.DataType.STRING:
            gap = -end % (_PAGE if tensor.nbytes >= _LARGE else _STEP)
            yield _Piece(value, tensor, gap, end + gap)
            end += gap + tensor.nbytes


def _record(destination: Path, pieces: Sequence[_Piece]) -> DataRecord:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(b"\0" * piece.gap)
        digest.update(_bytes(piece.tensor))
    name = f"{destination.name}.{digest.hexdigest()[:16]}.data"
    return DataRecord(name, pieces[-1].offset + pieces[-1].tensor.nbytes, digest.hexdigest())


@contextlib.contextmanager
def _written(folder: Path, record: DataRecord, pieces: Sequence[_Piece]) -> Iterator[None]:
    """The file holds the pieces; after an error in the block it is gone, unless it was there before."""
    file = folder / record.name
    existed = file.exists()
    try:
        with replace_file(file) as temporary, temporary.open("wb") as stream:
            for piece in pieces:
                stream.write(b"\0" * piece.gap)
                stream.write(_bytes(piece.tensor))
    except OSError as error:
        raise DestinationError(
            f"cannot write `{file}`, the weights: {error.strerror or error}",
            hint=f"they take {record.bytes:,} bytes there",
        ) from error
    try:
        yield
    except BaseException:
        if not existed:
            file.unlink(missing_ok=True)
        raise


def _bytes(tensor: ir.TensorProtocol) -> memoryview | bytes:
    """The tensor's bytes as ONNX lays them out; not a copy of them where memory holds them so already."""
    numbers = tensor.numpy()
    plain = numbers.nbytes == tensor.nbytes and numbers.flags.c_contiguous and sys.byteorder == "little"
    return numbers.reshape(-1).view(np.uint8).data if plain else tensor.tobytes()


def _reference(piece: _Piece, name: str, folder: Path) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        location=name,
        offset=piece.offset,
        length=piece.tensor.nbytes,
        dtype=piece.tensor.dtype,
        shape=ir.Shape(piece.tensor.shape.numpy()),
        name=piece.value.name or "",
        base_dir=folder,
    )


def _data_of(destination: Path) -> set[str]:
    """The data files of this module's making that the ONNX file there names; none where there is no file."""
    made = re.compile(rb"%b\.[0-9a-f]{16}\.data" % re.escape(os.fsencode(destination.name)))
    try:
        with destination.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as content:
            return {os.fsdecode(name) for name in made.findall(content)}
    except (OSError, ValueError):  # ValueError: it is empty
        return set()
