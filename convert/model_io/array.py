"""The arrays that samples, graphs and rules hold, and the names of their types."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
TEXT = "string"
"""The type of texts, for which NumPy has objects."""


def name_dtype(dtype: np.dtype[Any]) -> str:
    """The name of the type in a description: NumPy's, or `string`."""
    return TEXT if dtype.kind in "OU" else dtype.name


def get_dtype(name: str) -> np.dtype[Any]:
    """The type of this name."""
    return np.dtype(object if name == TEXT else name)
