"""Files of safetensors: tensors by name and nothing else, so that reading them runs no code."""

from pathlib import Path

from torch import Tensor

from adaptact.text import first_line
from adaptive_act.errors import CheckpointError

LARGEST_HEADER = 2**24  # bytes: some 150,000 tensors
PREFIX = 8  # bytes, which hold the length of the header


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors in the file, by name. Raises CheckpointError where its header and its size disagree."""
    try:
        from safetensors import SafetensorError  # noqa: PLC0415  # other files need no safetensors
        from safetensors.torch import load_file  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CheckpointError(f"reading `{path}` needs `safetensors`: pip install safetensors") from error
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = int.from_bytes(stream.read(PREFIX), "little")
    if header > min(LARGEST_HEADER, size - PREFIX):
        raise CheckpointError(
            f"`{path}` is truncated or damaged: its header should have {header} bytes, expected at most "
            f"{max(min(LARGEST_HEADER, size - PREFIX), 0)} in a file of {size}; copy or save it again"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"`{path}` is truncated or damaged: {first_line(error, 200)}; copy or save it again"
        ) from error
