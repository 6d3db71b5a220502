"""Arrays by name as the bytes of a file that `numpy.load` reads without running code from it."""

from collections.abc import Mapping
from io import BytesIO
from zipfile import ZipFile

import numpy as np

from serve.engine.signature import Array


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as an .npz file; texts are those of numpy, without what is not UTF-8."""
    file = BytesIO()
    # Not `numpy.savez`, to which names are arguments: one could be one of its own.
    with ZipFile(file, "w") as packed:
        for name, array in arrays.items():
            with packed.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, _to_plain(array), allow_pickle=False)
    return file.getvalue()


def _to_plain(array: Array) -> Array:
    if array.dtype != np.object_:
        return array
    texts = [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in array.flat]
    return np.array(texts, dtype=np.str_).reshape(array.shape)
