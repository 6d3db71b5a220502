"""JSON documents of other commands, read within bounds."""

import json
from pathlib import Path
from typing import TypeVar

from adaptact.errors import UsageError
from adaptact.suggestions import suggest_file
from adaptact.text import first_line
from convert.manifest.decode import ManifestError, decode

LARGEST_FILE = 64 << 20

T = TypeVar("T")


def read_within(path: Path, most: int) -> bytes:
    """The file's bytes. Raises UsageError where it cannot be read or has more than `most`."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror or error}", suggest_file(path)) from error
    if len(content) > most:
        raise UsageError(f"`{path}` has more than {most:,} bytes, the most that is read of such a file")
    return content


def read_document(path: Path, kind: type[T], expected: str) -> T:
    """The document of this dataclass, whose field `format` has to be `expected`; others may have more fields.

    Raises UsageError where it cannot be read or is something else.
    """
    content = read_within(path, LARGEST_FILE)
    try:
        document = json.loads(content)
        found = document.get("format") if isinstance(document, dict) else None
        if found != expected:
            raise UsageError(f"`{path}` has the format `{str(found)[:60]}`, expected `{expected}`")
        read: T = decode(kind, document, path.name)
    except (ManifestError, ValueError, RecursionError) as error:
        raise UsageError(f"`{path}` is not `{expected}`: {first_line(error)}") from error
    return read
