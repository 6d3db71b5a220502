"""Units: whom an experiment assigns, read from hostile requests and stored only as keyed digests."""

import hmac
import logging
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from serve.engine.errors import quote
from serve.experiments.errors import StoreError

log = logging.getLogger("adaptact")

UnitKind: TypeAlias = Literal["header", "parameter", "request"]

UNIT_HEADER = "x-adaptact-unit"
"""Where a request names its unit."""
MAX_UNIT_CHARACTERS = 512
"""A longer value is no unit: it would have to be hashed in each request."""
DIGEST_BYTES = 16
KEY_FILE = "unit.key"
KEY_BYTES = 32
_KEY = re.compile(rb"[0-9a-f]{64}\n?")
_MAX_BITS = 128  # of a number that is a unit: a UUID is the largest that is in use


class Unit(NamedTuple):
    """What is assigned as a whole: a person, a machine, a session; or the request where none is named."""

    kind: UnitKind
    """Where the value stood. The same value is the same unit wherever it stands."""
    value: str


def read_unit(
    sources: Sequence[UnitKind], header: bytes | str | None, parameter: object, request_id: str
) -> Unit | None:
    """The unit of the first source that has a usable one; None if none has.

    A header or a parameter that is empty, too long, or neither text nor a whole number counts as not given,
    since an experiment must never be why a request fails. Spaces around it do not matter.
    """
    for source in sources:
        if source == "request":
            return Unit("request", request_id)
        value = _read_value(header if source == "header" else parameter)
        if value:
            return Unit(source, value)
    return None


def unit_value(value: object) -> str | None:
    """The value as units are compared by it, wherever it comes from; None where it cannot be a unit."""
    return _read_value(value) or None


def hash_unit(key: bytes, unit: Unit | str) -> bytes:
    """What is stored in the unit's place: 16 bytes of HMAC-SHA256, the same for every kind of unit."""
    value = unit if isinstance(unit, str) else unit.value
    return hmac.digest(key, encode_value(value), "sha256")[:DIGEST_BYTES]


def encode_value(value: str) -> bytes:
    """The bytes that are hashed; a lone surrogate, which JSON can carry, is encoded like any character."""
    try:
        return value.encode()  # in a third of the time
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def load_or_make_key(folder: Path) -> bytes:
    """The installation's 32 random bytes; of all that start at once, each gets the same.

    They are on the disk before they are used, in a file that only the owner can read. Units hashed with
    another key cannot be recognised, so the file belongs into the backup of the store. Raises `StoreError`.
    """
    path = folder / KEY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        return _read_key(path)
    except OSError as error:
        raise StoreError(
            f"the key of the units {quote(str(path))} cannot be read or made: {error.strerror}"
        ) from error


def _read_value(value: object) -> str:
    """The value's text without spaces around it; empty where it cannot be a unit."""
    if isinstance(value, bytes):
        value = _decode(value) if len(value) <= 4 * MAX_UNIT_CHARACTERS else ""
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if value.bit_length() <= _MAX_BITS else ""
    if not isinstance(value, str) or len(value) > MAX_UNIT_CHARACTERS:
        return ""
    return value.strip()


def _decode(value: bytes) -> str:
    """A header's text: UTF-8 as in JSON, so that both name the same unit, or else Latin-1 as in old HTTP."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _make_key(path: Path) -> None:
    """Make the key file; a file that another process made meanwhile stays."""
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        # Unlike a rename, a link never takes the place of a file: the first one wins.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_key(path: Path) -> bytes:
    with path.open("rb") as stream:
        content = stream.read(2 * KEY_BYTES + 2)
        mode = os.fstat(stream.fileno()).st_mode
    if not _KEY.fullmatch(content):
        raise StoreError(
            f"the key of the units {quote(str(path))} is damaged: expected 64 hexadecimal digits; restore it "
            "from the backup, or remove it to begin anew with units that were never seen"
        )
    if mode & 0o077:
        log.warning("the key of the units `%s` can be read by others; make it private: chmod 600", path)
    return bytes.fromhex(content.decode())
