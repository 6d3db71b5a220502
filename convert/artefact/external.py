"""Weights in a file beside the ONNX file, for models above protobuf's limit of 2 GiB.

The name of the data file is made from its content, and it is on the disk before the ONNX file that names it.
So every ONNX file has its data at any moment: until the exchange, the old pair is unchanged.
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
SMALLEST = 1024  # bytes of a tensor beside the file: those that shapes are computed from stay inside
_STEP, _PAGE, _LARGE = 64, 4096, 2**20  # bytes: a large tensor begins on a page, so that it can be mapped


@dataclass(frozen=True, slots=True)
class PlacedModel:
    """A model ready to be written; its data file, where `data` describes one, is in `folder`."""

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
def place_weights(model: ir.Model, destination: Path, mode: Placement = "auto") -> Iterator[PlacedModel]:
    """The model, with its weights beside `destination` where the mode or their size requires that.

    The argument is left as it is. After an error in the block the new data file is removed; otherwise the
    data file of the previous ONNX file is. Raises DestinationError where it cannot be written.
    """
    if mode not in get_args(Placement):
        raise UsageError(f"external data `{mode}` is not one of: {', '.join(get_args(Placement))}")
    before = _find_data_files(destination)
    split = model.clone()
    is_external = mode == "always" or (mode == "auto" and count_weight_bytes(model) > LARGEST)
    pieces = list(_list_pieces(split)) if is_external else []
    if pieces:
        record = _describe_data(destination, pieces)
        with _write_data(destination.parent, record, pieces):
            for piece in pieces:
                piece.value.const_value = _refer_to(piece, record.name, destination.parent)
            yield PlacedModel(split, destination.parent, record)
    else:
        yield PlacedModel(model, destination.parent)
    for name in before - _find_data_files(destination):
        with contextlib.suppress(OSError):  # the new pair is complete, with or without the old data
            (destination.parent / name).unlink()


def count_weight_bytes(model: ir.Model) -> int:
    """The bytes of the weights in the model itself, without external ones."""
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return sum(
        tensor.nbytes
        for tensor in tensors
        if tensor is not None and not isinstance(tensor, ir.ExternalTensor)
    )


def _list_pieces(model: ir.Model) -> Iterator[_Piece]:
    end = 0
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.nbytes >= SMALLEST and tensor.dtype != ir.DataType.STRING:
            gap = -end % (_PAGE if tensor.nbytes >= _LARGE else _STEP)
            yield _Piece(value, tensor, gap, end + gap)
            end += gap + tensor.nbytes


def _describe_data(destination: Path, pieces: Sequence[_Piece]) -> DataRecord:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(b"\0" * piece.gap)
        digest.update(_view_bytes(piece.tensor))
    name = f"{destination.name}.{digest.hexdigest()[:16]}.data"
    return DataRecord(name, pieces[-1].offset + pieces[-1].tensor.nbytes, digest.hexdigest())


@contextlib.contextmanager
def _write_data(folder: Path, record: DataRecord, pieces: Sequence[_Piece]) -> Iterator[None]:
    """The file holds the pieces; after an error in the block it is removed, unless it existed before."""
    file = folder / record.name
    existed = file.exists()
    try:
        with replace_file(file) as temporary, temporary.open("wb") as stream:
            for piece in pieces:
                stream.write(b"\0" * piece.gap)
                stream.write(_view_bytes(piece.tensor))
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


def _view_bytes(tensor: ir.TensorProtocol) -> memoryview | bytes:
    """The tensor's bytes in ONNX's layout, without a copy where memory has that layout already."""
    numbers = tensor.numpy()
    is_plain = numbers.nbytes == tensor.nbytes and numbers.flags.c_contiguous and sys.byteorder == "little"
    return numbers.reshape(-1).view(np.uint8).data if is_plain else tensor.tobytes()


def _refer_to(piece: _Piece, name: str, folder: Path) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        location=name,
        offset=piece.offset,
        length=piece.tensor.nbytes,
        dtype=piece.tensor.dtype,
        shape=ir.Shape(piece.tensor.shape.numpy()),
        name=piece.value.name or "",
        base_dir=folder,
    )


def _find_data_files(destination: Path) -> set[str]:
    """The data files written by this module that the ONNX file there names; empty where there is no file."""
    pattern = re.compile(rb"%b\.[0-9a-f]{16}\.data" % re.escape(os.fsencode(destination.name)))
    try:
        with destination.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as content:
            return {os.fsdecode(name) for name in pattern.findall(content)}
    except (OSError, ValueError):  # ValueError: it is empty
        return set()
