"""Who vouches for a file: an Ed25519 signature of all its bytes, which it carries as its last metadata entry.

`convert.manifest.signature` says what is signed and checks it, for a server too.

Source: Josefsson & Liusvaara 2017, RFC 8032, https://www.rfc-editor.org/rfc/rfc8032
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import UsageError
from convert.manifest.signature import entry, fingerprint, message, read_pem, split

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PASSWORD = "ADAPTACT_KEY_PASSWORD"
"""The environment variable that holds the password of an encrypted private key."""

_MAKE = "make one: openssl genpkey -algorithm ed25519 -out key.pem"


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
        signature = private.sign(message(unsigned))
        return b"".join((unsigned, entry(f"ed25519:{fingerprint(private.public_key())}:{signature.hex()}")))

    return signed


def _private_key(path: Path, password: str | None) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    text = read_pem(path)
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
