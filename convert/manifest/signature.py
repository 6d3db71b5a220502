"""Whether a file is what the holder of a key has signed, for convert and for a server, which has no onnx.

Standard library only, and `cryptography` once a key is read.

A signed file is the file as it was, and one more entry of `metadata_props`: protobuf reads the two, one after
the other, as one model. So what is signed is a run of bytes, and no other program has to write them again in
the same way to check it.

Source: Josefsson & Liusvaara 2017, RFC 8032, https://www.rfc-editor.org/rfc/rfc8032
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import SignatureError, UsageError
from convert.manifest.manifest import DataRecord

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY = "adaptact.signature"
LARGEST_KEY = 64 * 1024  # bytes of a PEM file
_UNSIGNED = "sign it as it is written: adaptact-export ... --sign key.pem; other tools drop or move the entry"
_PURPOSE = b"adaptact-signature/1\0"
_VALUE = re.compile(r"ed25519:([0-9a-f]{64}):([0-9a-f]{128})")
_METADATA_PROPS = 14  # the fields' numbers in onnx.proto: ModelProto's, then StringStringEntryProto's
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def verify(content: bytes, public_key: Path) -> str:
    """The fingerprint of the key in `public_key`, which signed these bytes.

    The manifest is among them, and in it the digest of weights that lie beside: see `require_data`. Raises
    SignatureError where the key did not sign, and UsageError where the file holds no Ed25519 public key.
    """
    return verify_by(content, load_public_key(public_key))


def verify_by(content: bytes, public: "Ed25519PublicKey") -> str:
    """The fingerprint of the key, which signed these bytes; as `verify`, for a key that is read once."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # only signing needs it

    unsigned, value = split(content)
    found = _VALUE.fullmatch(value or "")
    if found is None:
        raise SignatureError("the file carries no signature as its last entry", hint=_UNSIGNED)
    ours = fingerprint(public)
    if found[1] != ours:
        raise SignatureError(f"the file is signed by key {found[1][:16]}…, expected {ours[:16]}…")
    try:
        public.verify(bytes.fromhex(found[2]), message(unsigned))
    except InvalidSignature as error:
        raise SignatureError(
            f"the file is not what key {ours[:16]}… signed: it was changed since",
            hint="take it again from where it was made",
        ) from error
    return ours


def require_data(record: DataRecord | None, digests: Mapping[str, str], file: str = "the file") -> None:
    """Raises SignatureError unless the weights beside a file are those of its manifest's record alone.

    `digests` holds the SHA-256, in hexadecimal, of each file that the model takes weights from, by its name.
    """
    held = {} if record is None else {record.name: record.sha256}
    foreign = sorted(digests.keys() - held.keys())
    if foreign:
        raise SignatureError(
            f"{file} takes weights from `{foreign[0]}`, of which it holds no digest",
            hint="write it anew: adaptact-export model.onnx other.onnx",
        )
    for name, digest in held.items():
        found = digests.get(name, "no such file")
        if found != digest:
            raise SignatureError(
                f"the weights in `{name}` are not the ones that {file} was written with: "
                f"their SHA-256 is {digest}, found {found}",
                hint="take both files again from where they were made",
            )


def signer(content: bytes) -> str | None:
    """The fingerprint of the key that the file says has signed it, unchecked; None where it names none."""
    found = _VALUE.fullmatch(split(content)[1] or "")
    return found[1] if found else None


def split(content: bytes) -> tuple[memoryview, str | None]:
    """The bytes that are signed, and the signature's text, None where the file does not end in one."""
    length = len(entry("ed25519:" + "0" * 64 + ":" + "0" * 128))
    tail, view = content[-length:], memoryview(content)
    text = tail[-len("ed25519:") - 193 :].decode("ascii", "replace")
    return (view[:-length], text) if _VALUE.fullmatch(text) and tail == entry(text) else (view, None)


def fingerprint(public: "Ed25519PublicKey") -> str:
    """SHA-256 of the key's 32 bytes, in hexadecimal."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()


def message(unsigned: memoryview) -> bytes:
    """What is signed: a digest, so that a server need not hold the file twice, under a purpose of its own."""
    return _PURPOSE + hashlib.sha256(unsigned).digest()


def entry(value: str) -> bytes:
    """The signature's text as protobuf writes a model of nothing but this one metadata entry."""
    pair = _field(_ENTRY_KEY, KEY.encode()) + _field(_ENTRY_VALUE, value.encode())
    return _field(_METADATA_PROPS, pair)


def load_public_key(path: Path) -> "Ed25519PublicKey":
    """The key in the PEM file; raises UsageError where it holds no Ed25519 public key that can be read."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(
            f"reading the key `{path}` needs `cryptography`, which is not installed",
            hint="pip install cryptography",
        ) from error

    try:
        found = load_pem_public_key(read_pem(path))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError(
            f"`{path}` holds no Ed25519 public key in PEM",
            hint="take it from the private one: openssl pkey -in key.pem -pubout -out public.pem",
        )
    return found


def read_pem(path: Path) -> bytes:
    """The beginning of the file, as much as a key can have; raises UsageError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_KEY)
    except OSError as error:
        raise UsageError(f"cannot read the key `{path}`: {error.strerror or error}") from error


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes: its number and kind, its length, itself.

    Source: Protocol Buffers, Encoding, https://protobuf.dev/programming-guides/encoding/
    """
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """The number in groups of 7 bits, lowest first; all but the last have their highest bit set."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
