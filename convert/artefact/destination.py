"""Where a file is to be written: whether it can be, and is no other that is needed. Standard library only."""

import os
import tempfile
from pathlib import Path

from convert.errors import DestinationError, UsageError


def require_apart(source: Path, destination: Path) -> None:
    """Raises UsageError where both are one file."""
    # Not by their methods, which raise where a folder on the way may not be searched.
    if os.path.exists(destination) and os.path.exists(source) and destination.samefile(source):
        raise UsageError(f"`{destination}` is the file to convert; write to another one")


def require_writable(destination: Path) -> None:
    """Raises DestinationError unless a file can be written there; nothing is left behind.

    Only a plain file is ever replaced, though root could replace others: `/dev/null` would become a file.
    """
    try:
        _require_replaceable(destination)
        tempfile.TemporaryFile(dir=destination.parent).close()
    except OSError as error:
        raise DestinationError(
            f"cannot write `{destination}`: {error.strerror or error}",
            hint="name another file, in a folder that you may write to",
        ) from error


def _require_replaceable(destination: Path) -> None:
    if destination.is_symlink():
        raise DestinationError(
            f"`{destination}` is a link to `{destination.readlink()}`, expected a file, or nothing yet",
            hint="name the file that it leads to, or remove the link",
        )
    if destination.is_dir():
        raise DestinationError(
            f"`{destination}` is a folder, expected the name of a file",
            hint=f"name a file in it: {destination / 'model.onnx'}",
        )
    if destination.exists() and not destination.is_file():
        raise DestinationError(
            f"`{destination}` is a device, a pipe or a socket, expected a file, or nothing yet",
            hint="write to a file and pass that on",
        )
    if not destination.parent.is_dir():
        raise DestinationError(
            f"the folder `{destination.parent}` of `{destination.name}` does not exist",
            hint=f"make it first: mkdir -p '{destination.parent}'",
        )
