"""The signature of a file: how it is encoded, and how it is verified, also on a server without onnx.

Standard library only, and `cryptography` once a key is read.

A signed file is the unsigned file with one more entry of `metadata_props` behind it: protobuf reads the two
in a row as one model. The signed content is therefore a run of bytes, and no other program has to encode the
model again in the same way to check it.

Source: Josefsson & Liusvaara 2017, RFC 8032, https://www.rfc-editor.org/rfc/rfc8032
"""

import hashlib
import re
from collections.abc import Mapping
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import SignatureError, UsageError
from convert.manifest.encoding import encode_field
from convert.manifest.entries import SIGNATURE_KEY
from convert.manifest.manifest import DataRecord

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LARGEST_KEY = 64 * 1024  # bytes of a PEM file
_UNSIGNED = "sign it as it is written: adaptact export ... --sign key.pem; other tools drop or move the entry"
_PURPOSE = b"adaptact-signature/1\0"
_VALUE = re.compile(r"ed25519:([0-9a-f]{64}):([0-9a-f]{128})")
METADATA_PROPS = 14  # the fields' numbers in onnx.proto: ModelProto's, then StringStringEntryProto's
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def verify(content: bytes | mmap, public_key: Path) -> str:
    """The fingerprint of the key in `public_key`, which has signed these bytes.

    The manifest is among the bytes, and holds the digest of external weights: see `require_data`. Raises
    SignatureError where the key did not sign, and UsageError where the file holds no Ed25519 public key.
    """
    return verify_with(content, load_public_key(public_key))


def verify_with(content: bytes | mmap, public: "Ed25519PublicKey") -> str:
    """The same as `verify`, for a key that is loaded already."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # only signing needs it

    unsigned, value = split_signature(content)
    match = _VALUE.fullmatch(value or "")
    if match is None:
        raise SignatureError("the file carries no signature as its last entry", hint=_UNSIGNED)
    expected = fingerprint(public)
    if match[1] != expected:
        raise SignatureError(f"the file is signed by key {match[1][:16]}…, expected {expected[:16]}…")
    try:
        public.verify(bytes.fromhex(match[2]), build_message(unsigned))
    except InvalidSignature as error:
        raise SignatureError(
            f"the file is not what key {expected[:16]}… signed: it was changed since",
            hint="take it again from where it was made",
        ) from error
    return expected


def require_data(record: DataRecord | None, digests: Mapping[str, str], file: str = "the file") -> None:
    """Raises SignatureError unless a file's external weights are exactly those of its manifest's record.

    `digests` maps the name of each file with weights of the model to its SHA-256, in hexadecimal.
    """
    recorded = {} if record is None else {record.name: record.sha256}
    foreign = sorted(digests.keys() - recorded.keys())
    if foreign:
        raise SignatureError(
            f"{file} takes weights from `{foreign[0]}`, of which it holds no digest",
            hint="write it anew: adaptact export model.onnx other.onnx",
        )
    for name, digest in recorded.items():
        actual = digests.get(name, "no such file")
        if actual != digest:
            raise SignatureError(
                f"the weights in `{name}` are not the ones that {file} was written with: "
                f"their SHA-256 is {digest}, found {actual}",
                hint="take both files again from where they were made",
            )


def read_signer(content: bytes) -> str | None:
    """The fingerprint of the key that the file names as its signer, unverified; None where it names none."""
    match = _VALUE.fullmatch(split_signature(content)[1] or "")
    return match[1] if match else None


def split_signature(content: bytes | mmap) -> tuple[memoryview, str | None]:
    """The signed bytes, and the signature's text, None where the file does not end in one."""
    length = len(encode_entry("ed25519:" + "0" * 64 + ":" + "0" * 128))
    tail, view = content[-length:], memoryview(content)
    text = tail[-len("ed25519:") - 193 :].decode("ascii", "replace")
    return (view[:-length], text) if _VALUE.fullmatch(text) and tail == encode_entry(text) else (view, None)


def fingerprint(public: "Ed25519PublicKey") -> str:
    """SHA-256 of the key's 32 bytes, in hexadecimal."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()


def build_message(unsigned: memoryview) -> bytes:
    """The message to sign: a purpose, and a digest, so that a server need not hold the file twice."""
    return _PURPOSE + hashlib.sha256(unsigned).digest()


def encode_entry(value: str) -> bytes:
    """The signature's text as protobuf encodes a model with only this metadata entry."""
    return encode_metadata(SIGNATURE_KEY, value)


def encode_metadata(key: str, value: str) -> bytes:
    """One entry of a model's metadata as protobuf encodes it; it may stand behind any model's bytes."""
    pair = encode_field(_ENTRY_KEY, key.encode()) + encode_field(_ENTRY_VALUE, value.encode())
    return encode_field(METADATA_PROPS, pair)


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
        key = load_pem_public_key(read_pem(path))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            f"`{path}` holds no Ed25519 public key in PEM",
            hint="take it from the private one: openssl pkey -in key.pem -pubout -out public.pem",
        )
    return key


def read_pem(path: Path) -> bytes:
    """The first LARGEST_KEY bytes of the file; raises UsageError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_KEY)
    except OSError as error:
        raise UsageError(f"cannot read the key `{path}`: {error.strerror or error}") from error
