"""Torch archives: read without running code from them and within bounded memory, written atomically."""

import contextlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from adaptact.files import replace_file
from adaptact.text import first_line
from adaptive_act.errors import CheckpointError

# The pickle inside describes the tensors; their data lie beside it, so even thousands need less than this.
_LARGEST_PICKLE = 64 * 2**20  # bytes
# A pickle of a few bytes can refer to one list so often that its content would not fit in memory.
_MOST_VALUES = 2**20
_DEEPEST = 100
# Stands before the reason in torch's text, after the advice to load the file without this safety.
_BEFORE_REASON = "WeightsUnpickler error:"
# What torch.load raises on content that was damaged or made up.
_UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_archive(path: Path) -> Any:
    """What the archive at `path` holds, with tensors on the CPU; only tensors and plain Python values load.

    Raises CheckpointError where the file is missing, damaged, of another kind, would need more memory than
    its own size, or holds an object whose loading would run code.
    """
    if not path.is_file():
        raise CheckpointError(f"no file `{path}`" + (", it is a folder" if path.is_dir() else ""))
    _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointError(_describe_error(path, error)) from error
    _check_values(content, path)
    return content


def write_archive(content: Any, path: Path) -> None:
    """Saves `content` at `path`; the file there is replaced only by a complete one."""
    with replace_file(path) as temporary:
        torch.save(content, temporary)


def _check_archive(path: Path) -> None:
    """Checks the cost of loading from the archive's directory alone."""
    if not zipfile.is_zipfile(path):
        raise CheckpointError(_describe_other_file(path))
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (*_UNREADABLE, NotImplementedError) as error:
        raise CheckpointError(_describe_error(path, error)) from error
    names = {member.filename.split("/", 1)[-1] for member in members}
    if "constants.pkl" in names:
        raise CheckpointError(
            f"`{path}` is a TorchScript archive; expected a file written by `adaptive_act.save`"
        )
    if "data.pkl" not in names:
        raise CheckpointError(
            f"`{path}` is a zip archive but not one of torch.save; it holds {sorted(names)[:5]}"
        )
    pickles = sum(member.file_size for member in members if member.filename.endswith(".pkl"))
    if sum(member.file_size for member in members) > path.stat().st_size or pickles > _LARGEST_PICKLE:
        raise CheckpointError(f"`{path}` would unpack to more than it holds, which torch.save never writes")


def _check_values(content: Any, path: Path) -> None:
    """Checks the cost of walking the content: each value counts as often as it is referred to."""
    pending, count = [(content, 0)], 1
    while pending:
        value, depth = pending.pop()
        members: Any = ()
        if isinstance(value, dict):
            members = (*value.keys(), *value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            members = value
        count += len(members)
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise CheckpointError(
                f"`{path}` holds more than {_MOST_VALUES} values, or more than {_DEEPEST} within each other; "
                "expected a state_dict or what `adaptive_act.save` writes"
            )
        pending += [(member, depth + 1) for member in members]


def _describe_other_file(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return f"`{path}` is truncated: its end, which lists the content, is missing; copy or save it again"
    if start[:1] == b"\x80":
        return (
            f"`{path}` is a bare pickle, which runs code when it is loaded; save the model with "
            "`adaptive_act.save`, or its state_dict with torch.save"
        )
    return f"`{path}` is not a torch archive; expected a file written by `adaptive_act.save`"


def _describe_error(path: Path, error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        with contextlib.suppress(*_UNREADABLE):
            named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            if named:
                return (
                    f"`{path}` holds pickled objects ({', '.join(sorted(named)[:3])}), whose loading would "
                    "run code; save the model with `adaptive_act.save`, or its state_dict with torch.save"
                )
    _, _, reason = str(error).partition(_BEFORE_REASON)
    return f"`{path}` is damaged: {first_line(ValueError(reason)) if reason else first_line(error)}"
