"""Signs a file: an Ed25519 signature of all its bytes, as its last metadata entry.

`convert.manifest.signature` defines the signed bytes and checks signatures, for a server too.

Source: Josefsson & Liusvaara 2017, RFC 8032, https://www.rfc-editor.org/rfc/rfc8032
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import UsageError
from convert.manifest.signature import build_message, encode_entry, fingerprint, read_pem, split_signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PASSWORD = "ADAPTACT_KEY_PASSWORD"
"""The environment variable that holds the password of an encrypted private key."""

_MAKE = "make one: openssl genpkey -algorithm ed25519 -out key.pem"


def sign(content: bytes, key: Path, password: str | None = None) -> bytes:
    """The file's bytes with the signature by the private key in `key`, in place of any other.

    Raises UsageError where `key` holds no Ed25519 private key that can be read.
    """
    return make_signer(key, password)(content)


def make_signer(key: Path | None, password: str | None = None) -> Callable[[bytes], bytes]:
    """A function that signs a file's bytes with the key, which is read now; without a key it does nothing."""
    if key is None:
        return bytes
    private = _read_private_key(key, password)

    def sign_content(content: bytes) -> bytes:
        unsigned, _ = split_signature(content)
        signature = private.sign(build_message(unsigned))
        return b"".join(
            (unsigned, encode_entry(f"ed25519:{fingerprint(private.public_key())}:{signature.hex()}"))
        )

    return sign_content


def _read_private_key(path: Path, password: str | None) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    text = read_pem(path)
    encrypted = b"ENCRYPTED" in text
    if encrypted and password is None:
        raise UsageError(f"the key in `{path}` is encrypted", hint=f"give its password in {PASSWORD}")
    try:
        loaded = load_pem_private_key(text, password.encode() if encrypted and password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        loaded = None
    if not isinstance(loaded, Ed25519PrivateKey):
        # The error's text is left out: a parser may quote the key in it.
        advice = "or its password is wrong" if encrypted else _MAKE
        raise UsageError(f"`{path}` holds no Ed25519 private key in PEM that can be read", hint=advice)
    return loaded
