"""A signed ONNX file and the weights beside it, checked without onnx; standard library only."""

import hashlib
from pathlib import Path

from convert.errors import SourceError
from convert.manifest import signature
from convert.manifest.decode import ManifestError
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest
from convert.manifest.wire import find_locations, read_metadata

LARGEST = 2**31  # bytes: protobuf reads no more


def read_bytes(path: Path) -> bytes:
    """The file's bytes. Raises SourceError where it cannot be read, or is none that holds a model."""
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"`{path}` is not an ONNX model: it is a folder, a pipe or a device")
        if path.stat().st_size > LARGEST:
            raise SourceError(f"`{path}` has more than {LARGEST} bytes, which no ONNX file has")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read `{path}`: {error.strerror or error}") from error


def require_signed_data(path: Path, content: bytes) -> None:
    """Raises SignatureError unless the weights beside the file are those that it was written with.

    Raises SourceError where the file cannot be read as a model, or its weights not at all.
    """
    text = read_metadata(content).get(MANIFEST_KEY)
    try:
        record = None if text is None else Manifest.from_json(text).data
    except ManifestError as error:
        raise SourceError(f"`{path}`: {error}") from error
    own = set() if record is None else {Path(record.name).name}
    named = dict.fromkeys(find_locations(content), "")
    digests = named | {name: hash_file(path.parent / name) for name in own}
    signature.require_data(record, digests, f"`{path.name}`")


def hash_file(path: Path) -> str:
    """The SHA-256 of a file of weights. Raises SourceError for a missing file, a link, a pipe or a device."""
    try:
        if path.is_symlink() or not path.is_file():
            raise SourceError(f"there is no file `{path}`, which holds the model's weights")
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"cannot read the weights in `{path}`: {error.strerror or error}") from error
