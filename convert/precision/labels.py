"""The right classes of the user's samples, where the file of samples has them."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convert.errors import UsageError
from convert.inputs import InputSpec
from convert.parity.samples import Array

NAME = "labels"


def labels_of(path: Path, inputs: Sequence[InputSpec], samples: int) -> Array | None:
    """The array `labels`, [samples] of whole numbers from 0; None where there is none.

    The file was read for its samples before, so that it is known to be bounded. Raises UsageError where the
    array is another than that.
    """
    if NAME in {spec.name for spec in inputs}:
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            if NAME not in archive.files:
                return None
            found: Array = archive[NAME]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"`{NAME}` in `{path}` cannot be read: {error}") from error
    if found.shape != (samples,) or found.dtype.kind not in "iu" or found.min(initial=0) < 0:
        raise UsageError(
            f"`{NAME}` in `{path}` is {found.dtype.name}{list(found.shape)}, expected whole numbers from 0, "
            f"one for each of {samples} samples"
        )
    return found.astype(np.int64)
