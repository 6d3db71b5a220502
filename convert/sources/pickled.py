"""Pickles that the user trusts by name (`--allow-pickle`): loading one runs whatever it says.

The one place besides `adaptive_act.archive` that calls `torch.load`, and the only one that unpickles freely.
"""

import pickle
import warnings
import zipfile
from pathlib import Path

import torch

from convert.errors import SourceError

# What unpickling a stranger's classes raises where they are missing, changed, or the bytes damaged.
_UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, MemoryError, pickle.UnpicklingError, zipfile.BadZipFile),
)


class PickleWarning(UserWarning):
    """Code that a file chose is about to run."""


def unpickled(path: Path) -> object:
    """What the pickle holds, with its tensors on the CPU; code that the file chose has run.

    Raises SourceError where it cannot be unpickled here.
    """
    warnings.warn(
        f"`{path}` is a pickle and runs code of its own choice as it is loaded", PickleWarning, stacklevel=2
    )
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=False)
    except _UNREADABLE as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise SourceError(
            f"`{path}` cannot be unpickled: {type(error).__name__}: {reason[:300]}",
            hint="run the command in the folder, and with the packages, in which the model was saved",
        ) from error
    return content
