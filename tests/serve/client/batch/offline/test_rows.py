from pathlib import Path

import numpy as np
import pytest

from serve.client import InvalidFileError
from serve.client.batch.offline.rows import answer_arrays, answer_instances, load_once
from tests.serve.client.batch.offline.conftest import GIVEN


def test_rows_in_memory_are_answered_by_a_model_that_is_loaded_once(double: Path) -> None:
    model = load_once(double)
    assert load_once(double) is model
    assert answer_arrays(model, {"x": GIVEN}, batch=8)["y"].tobytes() == (GIVEN + GIVEN).tobytes()
    assert answer_instances(model, [{"x": row} for row in GIVEN[:40].tolist()])["y"].shape == (40, 3)
    with pytest.raises(InvalidFileError, match=r"has the shape `\[8, 2\]`"):
        answer_arrays(model, {"x": GIVEN[:, :2]}, batch=8)


def test_a_path_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=r"is no file whose name ends in `\.onnx`"):
        load_once(tmp_path)
    (tmp_path / "broken.onnx").write_bytes(np.zeros(100, np.uint8).data)
    with pytest.raises(InvalidFileError, match="cannot be loaded: ONNX Runtime cannot load it"):
        load_once(tmp_path / "broken.onnx")
