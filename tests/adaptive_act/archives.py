"""Zip archives that cannot be read."""

from pathlib import Path


def damage(path: Path) -> None:
    """Spoils the first entry's compressed bytes, of which there are 200 at least."""
    content = bytearray(path.read_bytes())
    content[100:160] = b"\xff" * 60
    path.write_bytes(content)


def encrypt(path: Path) -> None:
    """Marks the first entry as encrypted."""
    content = bytearray(path.read_bytes())
    for start in (6, content.index(b"PK\x01\x02") + 8):  # the flags beside the entry, and in the directory
        content[start] |= 1
    path.write_bytes(content)
