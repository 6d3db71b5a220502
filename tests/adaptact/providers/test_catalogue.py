import json
import os
from typing import get_args

import numpy as np
import onnxruntime as ort
import pytest
from onnx.parser import parse_model

from adaptact.errors import ProviderError
from adaptact.providers.catalogue import PROVIDERS, ProviderName, find_provider
from adaptact.providers.provider import RECORD_PLACES, Ort, count_nodes
from tests.openvino import require_openvino

# ONNX Runtime leaves `Det` to the CPU where a provider has no such operator.
GRAPH = parse_model(
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 2, 2] x) => (float[N, 2, 2] y, float[N] z)'
    "{ y = Relu(x) z = Det(x) }"
).SerializeToString()


def make_options() -> Ort:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry(RECORD_PLACES, "1")
    return options


def read_config(threads: int) -> dict[str, str]:
    config: dict[str, str] = json.loads(PROVIDERS["openvino"].options(threads, "fp32")["load_config"])["CPU"]
    return config


def test_every_name_has_its_provider() -> None:
    assert tuple(PROVIDERS) == get_args(ProviderName)
    with pytest.raises(ProviderError, match="`openvin` is not known, expected one of: cpu, cuda") as caught:
        find_provider("openvin")
    assert caught.value.hint == "did you mean `openvino`?"


def test_a_provider_computes_in_float32_unless_told_otherwise() -> None:
    assert PROVIDERS["cuda"].options(1, "fp32") == {"use_tf32": "0"}
    assert read_config(1)["INFERENCE_PRECISION_HINT"] == "f32"
    with pytest.raises(ProviderError, match="not in bf16 of its own"):
        PROVIDERS["cpu"].options(1, "bf16")


def test_openvino_has_the_sessions_threads_and_pins_none() -> None:
    assert read_config(2)["INFERENCE_NUM_THREADS"] == "2"
    assert "INFERENCE_NUM_THREADS" not in read_config(0)
    assert read_config(1)["ENABLE_CPU_PINNING"] == "NO"


def test_a_provider_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROVIDERS["cuda"], "require", lambda: None, raising=False)
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(ProviderError, match="ONNX Runtime could not start it") as caught,
    ):
        PROVIDERS["cuda"].open(GRAPH, make_options())
    assert "driver" in str(caught.value.hint)


def test_what_the_provider_lacks_runs_on_the_cpu_and_is_counted() -> None:
    session = find_provider("cpu").open(GRAPH, make_options())
    assert count_nodes(session) == {"CPUExecutionProvider": 2}
    require_openvino()
    before = os.sched_getaffinity(0)
    session = find_provider("openvino").open(GRAPH, make_options())
    assert count_nodes(session) == {"OpenVINOExecutionProvider": 1, "CPUExecutionProvider": 1}
    relu, det = session.run(None, {"x": np.array([[[1, 2], [3, -4]]], np.float32)})
    assert (relu.tolist(), det.tolist()) == ([[[1, 2], [3, 0]]], [-10])
    assert os.sched_getaffinity(0) == before
