"""What a command writes besides: a report, a picture, a description."""

from collections.abc import Sequence
from pathlib import Path

from convert.errors import DestinationError, UsageError


def require_beside(files: Sequence[Path], *beside: Path | None) -> None:
    """Raises UsageError where what is asked for besides would take a file's place, DestinationError where it
    cannot be written.
    """
    from convert.artefact.file import require_writable  # noqa: PLC0415  # it loads onnx

    taken = [file.resolve() for file in files]
    for path in beside:
        if path is not None:
            if path.resolve() in taken:
                raise UsageError(f"`{path}` is named for two things; write them to files of their own")
            taken.append(path.resolve())
            require_writable(path)


def write_text(path: Path, text: str) -> None:
    """The file holds the text, or what it held before. Raises DestinationError where it cannot be written."""
    from adaptact.files import replace_file  # noqa: PLC0415  # it loads torch

    try:
        with replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DestinationError(f"cannot write `{path}`: {error.strerror or error}") from error
