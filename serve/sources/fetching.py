"""The files of one part, brought into a folder and checked there."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from serve.engine.errors import quote
from serve.sources.errors import PartRefusedError, SourceError
from serve.sources.options import SourceOptions
from serve.sources.parts import SUMS_FILE, Part, parse_sums
from serve.sources.source import Source, SourceFile

LARGEST_SUMS = 2**20
SPARE_BYTES = 64 * 2**20
"""Of the disk, so much stays free."""
PATIENCE_SECONDS, SLOWEST_BYTES = 60.0, 16 * 2**10
"""A download may be slower than so many bytes a second for so long in all."""


def fetch_part(source: Source, part: Part, folder: Path, options: SourceOptions) -> dict[str, str]:
    """The SHA-256 of each file of the part, which now lies in the folder as the source has it.

    Raises `PartRefusedError` for files that are not what they should be, `SourceError`, and `OSError` for
    the disk's errors.
    """
    free = shutil.disk_usage(folder).free
    if part.size + SPARE_BYTES > free:
        raise PartRefusedError(f"it has {part.size} bytes, and the disk of the copy {free} left")
    digests: dict[str, str] = {}
    expected = _fetch_sums(source, part, folder, digests)
    for file in part.files:
        name = part.name(file)
        if name not in digests:
            digests[name] = _fetch(source, file, folder / name, expected.get(name, ""), options)
    if part.version and options.has_policies:
        from serve.sources.policies import check_policies  # noqa: PLC0415  it loads ONNX Runtime

        check_policies(part, folder, options)
    return digests


def _fetch_sums(source: Source, part: Part, folder: Path, digests: dict[str, str]) -> Mapping[str, str]:
    """The digests that the part's own list demands, if it has one; the list is then in the folder."""
    names = {part.name(file): file for file in part.files}
    listing = names.get(SUMS_FILE)
    if listing is None:
        return {}
    if listing.size > LARGEST_SUMS:
        raise PartRefusedError(f"`{SUMS_FILE}` has more than {LARGEST_SUMS} bytes")
    digests[SUMS_FILE] = _write(source, listing, folder / SUMS_FILE, "")
    try:
        sums = parse_sums((folder / SUMS_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PartRefusedError(f"`{SUMS_FILE}` cannot be read: {error}") from error
    if unnamed := names.keys() - sums.keys() - {SUMS_FILE}:
        raise PartRefusedError(f"`{SUMS_FILE}` does not name {quote(min(unnamed))}")
    if part.version and (missing := sums.keys() - names.keys()):
        raise PartRefusedError(f"`{SUMS_FILE}` names {quote(min(missing))}, which is not there")
    return sums


def _fetch(source: Source, file: SourceFile, path: Path, expected: str, options: SourceOptions) -> str:
    if expected and file.sha256 and expected != file.sha256:
        raise PartRefusedError(f"{quote(file.path)} has another SHA-256 in `{SUMS_FILE}` than at the source")
    return _write(source, file, path, expected or file.sha256, must_tell=options.require_digests)


def _write(source: Source, file: SourceFile, path: Path, expected: str, *, must_tell: bool = False) -> str:
    """The SHA-256 of the file, which is on the disk; `must_tell` refuses one without an expected digest."""
    download = source.open(file)
    expected = expected or download.sha256
    if must_tell and not expected:
        raise PartRefusedError(
            f"{quote(file.path)} has no SHA-256 at the source, and `--source-digests` asks for one; "
            f"put `{SUMS_FILE}` beside it"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, written, began = hashlib.sha256(), 0, monotonic()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb", buffering=0) as stream:
        for piece in download.pieces:
            written += len(piece)
            if written > file.size:
                break
            if monotonic() - began > PATIENCE_SECONDS + written / SLOWEST_BYTES:
                raise SourceError(f"{quote(file.path)} arrives too slowly: {written} bytes so far")
            digest.update(piece)
            _write_all(stream.fileno(), piece)
        os.fsync(descriptor)
    if written != file.size:
        more = "more" if written > file.size else f"only {written}"
        raise PartRefusedError(f"{quote(file.path)} should have {file.size} bytes, and {more} arrived")
    found = digest.hexdigest()
    if expected and found != expected:
        raise PartRefusedError(f"{quote(file.path)} should have the SHA-256 {expected}, and has {found}")
    return found


def _write_all(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]
