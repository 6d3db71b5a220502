from unittest.mock import Mock

import numpy as np
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as native

from convert.errors import ExportError
from convert.model_io.runtime import Session


@pytest.mark.parametrize("error", [native.EPFail, native.EngineError, native.Fail])
def test_a_provider_that_fails_is_an_error_of_the_export(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Mock(**{"open.side_effect": error("the device is gone")})
    monkeypatch.setattr("convert.model_io.runtime.find_provider", lambda name: provider)
    with pytest.raises(ExportError, match="refuses the graph: the device is gone"):
        Session(b"", [], "cuda")
    opened = Mock(**{"run.side_effect": error("the device is gone"), "get_outputs.return_value": []})
    provider.open = Mock(return_value=opened)
    with pytest.raises(ExportError, match=r"cannot run the graph on \[\[2\]\]: the device is gone"):
        Session(b"", ["x"], "cuda").run([np.zeros(2, np.float32)])
