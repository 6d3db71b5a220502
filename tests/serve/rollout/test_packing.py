from io import BytesIO

import numpy as np

from serve.engine.signature import Array
from serve.rollout.packing import pack_arrays


def test_arrays_come_back_without_pickle() -> None:
    arrays: dict[str, Array] = {
        "x": np.array([[1, 2]], np.float32),
        "file": np.array([], np.int64),
        "text": np.array([b"caf\xc3\xa9", "\u65e5\u672c", b"\xff"], np.object_),
    }
    read = np.load(BytesIO(pack_arrays(arrays)), allow_pickle=False)
    assert read["x"].tolist() == [[1, 2]]
    assert read["file"].shape == (0,)
    assert read["text"].tolist() == ["caf\u00e9", "\u65e5\u672c", "\ufffd"]
