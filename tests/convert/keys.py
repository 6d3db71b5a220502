"""Key files, as openssl writes them."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PASSWORD = "correct horse"


@dataclass(frozen=True)
class KeyFiles:
    private: Path
    public: Path
    encrypted: Path


def write_keys(folder: Path, seed: int = 1) -> KeyFiles:
    """A pair of keys in `folder`, always the same for a seed, and the private one once more, encrypted."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    made = KeyFiles(folder / f"{seed}.pem", folder / f"{seed}.pub", folder / f"{seed}.secret.pem")
    locked = BestAvailableEncryption(PASSWORD.encode())
    made.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    made.encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    made.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return made
