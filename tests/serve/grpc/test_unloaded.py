from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from serve.engine.memory import budget
from serve.engine.memory.amounts import LEAST
from serve.engine.memory.options import MemoryOptions
from tests.serve import models
from tests.serve.grpc.running import running


@pytest.mark.usefixtures("of_equal_size")
def test_a_call_loads_its_model_or_is_told_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        models.put(tmp_path, name, models.model(models.DOUBLE))
    row = triton.InferInput("x", [1, 3], "FP32")
    row.set_data_from_numpy(np.ones((1, 3), np.float32))
    with (
        running(tmp_path, engine_memory=MemoryOptions(int(1.5 * LEAST))) as started,
        triton.InferenceServerClient(started.address) as client,
    ):
        assert client.infer("b", [row]).as_numpy("y").tolist() == [[2, 2, 2]]
        assert not client.is_model_ready("a")
        monkeypatch.setattr(budget, "WAIT_SECONDS", 0.0)
        with pytest.raises(InferenceServerException, match="model `a` is being loaded; try again") as refused:
            client.infer("a", [row])
    assert refused.value.status() == "StatusCode.UNAVAILABLE"
