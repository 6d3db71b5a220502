"""Who vouches for a file: an Ed25519 signature of all its bytes, which it carries as its last metadata entry.

A signed file is the file as it was, and one more entry of `metadata_props`: protobuf reads the two, one after
the other, as one model. So what is signed is a run of bytes, and no other program has to write them again in
the same way to check it.

Source: Josefsson & Liusvaara 2017, RFC 8032, https://www.rfc-editor.org/rfc/rfc8032
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from convert.errors import SignatureError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY = "adaptact.signature"
PASSWORD = "ADAPTACT_KEY_PASSWORD"
"""The environment variable that holds the password of an encrypted private key."""
LARGEST_KEY = 64 * 1024  # bytes of a PEM file

_MAKE = "make one: openssl genpkey -algorithm ed25519 -out key.pem"
_UNSIGNED = "sign it as it is written: adaptact-export ... --sign key.pem; other tools drop or move the entry"
_PURPOSE = b"adaptact-signature/1\0"
_VALUE = re.compile(r"ed25519:([0-9a-f]{64}):([0-9a-f]{128})")


def sign(content: bytes, key: Path, password: str | None = None) -> bytes:
    """The file's bytes with the signature of the private key in `key`, in place of any that it carried.

    Raises UsageError where `key` holds no Ed25519 private key that can be read.
    """
    return signer_of(key, password)(content)


def signer_of(key: Path | None, password: str | None = None) -> Callable[[bytes], bytes]:
    """What signs a file with the key, read now; without a key, what leaves a file as it is."""
    if key is None:
        return bytes
    private = _private_key(key, password)

    def signed(content: bytes) -> bytes:
        unsigned, _ = split(content)
        signature = private.sign(_message(unsigned))
        return unsigned + _entry(f"ed25519:{fingerprint(private.public_key())}:{signature.hex()}")

    return signed


def verify(content: bytes, public_key: Path) -> str:
    """The fingerprint of the key in `public_key`, which signed these bytes.

    Raises SignatureError where it did not, and UsageError where the file holds no Ed25519 public key.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # only signing needs it

    public = _public_key(public_key)
    unsigned, value = split(content)
    found = _VALUE.fullmatch(value or "")
    if found is None:
        raise SignatureError("the file carries no signature as its last entry", hint=_UNSIGNED)
    ours = fingerprint(public)
    if found[1] != ours:
        raise SignatureError(f"the file is signed by key {found[1][:16]}…, expected {ours[:16]}…")
    try:
        public.verify(bytes.fromhex(found[2]), _message(unsigned))
    except InvalidSignature as error:
        raise SignatureError(
            f"the file is not what key {ours[:16]}… signed: it was changed since",
            hint="take it again from where it was made",
        ) from error
    return ours


def signer(content: bytes) -> str | None:
    """The fingerprint of the key that the file says has signed it, unchecked; None where it names none."""
    found = _VALUE.fullmatch(split(content)[1] or "")
    return found[1] if found else None


def split(content: bytes) -> tuple[bytes, str | None]:
    """The bytes that are signed, and the signature's text, None where the file does not end in one."""
    length = len(_entry("ed25519:" + "0" * 64 + ":" + "0" * 128))
    tail = content[-length:]
    text = tail[-len("ed25519:") - 193 :].decode("ascii", "replace")
    return (content[:-length], text) if _VALUE.fullmatch(text) and tail == _entry(text) else (content, None)


def fingerprint(public: "Ed25519PublicKey") -> str:
    """SHA-256 of the key's 32 bytes, in hexadecimal."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()


def _message(unsigned: bytes) -> bytes:
    """What is signed: a digest, so that a server need not hold the file twice, under a purpose of its own."""
    return _PURPOSE + hashlib.sha256(unsigned).digest()


def _entry(value: str) -> bytes:
    entry = onnx.StringStringEntryProto(key=KEY, value=value)
    return bytes(onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def _private_key(path: Path, password: str | None) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    text = _pem(path)
    encrypted = b"ENCRYPTED" in text
    if encrypted and password is None:
        raise UsageError(f"the key in `{path}` is encrypted", hint=f"give its password in {PASSWORD}")
    try:
        found = load_pem_private_key(text, password.encode() if encrypted and password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        # Nothing of the error is passed on: what a parser says of a key may quote it.
        wrong = "or its password is wrong" if encrypted else _MAKE
        raise UsageError(f"`{path}` holds no Ed25519 private key in PEM that can be read", hint=wrong)
    return found


def _public_key(path: Path) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        found = load_pem_public_key(_pem(path))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError(
            f"`{path}` holds no Ed25519 public key in PEM",
            hint="take it from the private one: openssl pkey -in key.pem -pubout -out public.pem",
        )
    return found


def _pem(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_KEY)
    except OSError as error:
        raise UsageError(f"cannot read the key `{path}`: {error.strerror or error}") from error
