"""Files of safetensors: tensors by name and nothing else, so that reading them runs no code."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from adaptact.text import first_line
from convert.errors import SourceError

LARGEST_HEADER = 2**24  # bytes: some 150,000 tensors
PREFIX = 8  # bytes, which hold the length of the header


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors in the file, by name. Raises SourceError where its header and its size disagree."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = int.from_bytes(stream.read(PREFIX), "little")
    if header > min(LARGEST_HEADER, size - PREFIX):
        raise SourceError(
            f"`{path}` is truncated or damaged: its header should have {header} bytes, expected at most "
            f"{max(min(LARGEST_HEADER, size - PREFIX), 0)} in a file of {size}",
            hint="copy or save it again",
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise SourceError(
            f"`{path}` is truncated or damaged: {first_line(error, 200)}", hint="copy or save it again"
        ) from error
