import json
import os
from types import SimpleNamespace
from typing import get_args

import numpy as np
import onnxruntime as ort
import pytest
from onnx.parser import parse_model
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from adaptact.errors import ProviderError, UnsuitableModelError
from adaptact.providers import built_in, openvino
from adaptact.providers.catalogue import (
    PROVIDERS,
    ProviderName,
    describe_target,
    find_provider,
    list_candidates,
)
from adaptact.providers.machine import describe_processor
from adaptact.providers.provider import Ort, Precision, count_nodes
from tests.openvino import require_openvino
from tests.played_gpu import play_gpus

# ONNX Runtime leaves `Det` to the CPU where a provider has no such operator.
GRAPH = parse_model(
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 2, 2] x) => (float[N, 2, 2] y, float[N] z)'
    "{ y = Relu(x) z = Det(x) }"
).SerializeToString()


def make_options() -> Ort:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def read_config(threads: int) -> dict[str, str]:
    config: dict[str, str] = json.loads(PROVIDERS["openvino"].options(threads, "fp32")["load_config"])["CPU"]
    return config


def test_every_name_has_its_provider() -> None:
    assert tuple(PROVIDERS) == get_args(ProviderName)
    with pytest.raises(ProviderError, match="`openvin` is not known, expected one of: cpu, cuda") as caught:
        find_provider("openvin")
    assert caught.value.hint == "did you mean `openvino`?"


def test_gpus_are_tried_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_candidates(1) == [("cpu", 1), ("openvino", 1)]
    asked: list[bool] = []

    def describe(*, with_gpus: bool) -> str:
        asked.append(with_gpus)
        return describe_processor()

    monkeypatch.setattr("adaptact.providers.catalogue.describe_processor", describe)
    describe_target()
    play_gpus(monkeypatch)
    describe_target()
    assert asked == [False, True]
    assert list_candidates(4) == [
        *(("cpu", 4), ("cuda", 4), ("openvino", 4), ("tensorrt-rtx", 4)),
        *(("cpu", 1), ("openvino", 1), ("cpu", 2), ("openvino", 2)),
    ]


def test_a_plug_in_is_installed_where_its_package_or_its_library_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAPTACT_TENSORRT_RTX_LIBRARY", raising=False)
    assert not PROVIDERS["tensorrt-rtx"].is_installed()
    monkeypatch.setenv("ADAPTACT_TENSORRT_RTX_LIBRARY", "/opt/plugin.so")
    assert PROVIDERS["tensorrt-rtx"].is_installed()
    assert not PROVIDERS["cuda"].is_installed()


def test_a_provider_computes_in_float32_unless_told_otherwise() -> None:
    assert PROVIDERS["cuda"].options(1, "fp32") == {"use_tf32": "0"}
    assert read_config(1)["INFERENCE_PRECISION_HINT"] == "f32"
    with pytest.raises(ProviderError, match="does not compute in bf16"):
        PROVIDERS["cpu"].options(1, "bf16")


@pytest.mark.parametrize("narrow", [False, True])
def test_rounded_graphs_are_exact_on_a_processor_without_vnni(
    narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(built_in, "adds_up_in_16_bits", lambda: narrow)
    rounded = parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N, 2] x) => (float[N, 2] y)'
        "<float s = {0.5}, uint8 z = {9}> { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }"
    ).SerializeToString()
    for graph, entry in ((GRAPH, False), (rounded, narrow)):
        options = make_options()
        options.add_session_config_entry(built_in.EXACT_PRODUCTS, "0")
        find_provider("cpu").open(graph, options)
        assert options.get_session_config_entry(built_in.EXACT_PRODUCTS) == str(int(entry))


@pytest.mark.parametrize(
    ("asked", "cores", "taken"),
    [(1, 4, ("1", "0")), (3, 4, ("3", "1")), (0, 4, ("4", "1")), (0, 1, ("1", "0")), (2, 1, ("1", "0"))],
)
def test_openvino_has_no_stream_of_one_thread_which_would_lose_errors(
    asked: int, cores: int, taken: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "available_cores", lambda: cores)
    config = read_config(asked)
    assert (config["INFERENCE_NUM_THREADS"], config["NUM_STREAMS"]) == taken
    assert config["ENABLE_CPU_PINNING"] == "NO"


def test_two_threads_that_openvino_makes_one_of_are_the_calling_one() -> None:
    require_openvino()
    provider = openvino.OpenVinoProvider()
    one = json.dumps({"CPU": {"INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1"}})
    options = make_options()
    session = provider._open(openvino.RESHAPE, options, {"load_config": one}, 0)
    with pytest.raises(RuntimeException, match="reshape: the shape of input data"):
        session.run(None, {"x": np.ones(6, np.float32), "t": np.array((4, 4))})


def test_the_failing_model_is_what_onnx_writes() -> None:
    graph = "g (float[N] x, int64[2] t) => (float[A, B] y) { y = Reshape(x, t) }"
    text = f'<ir_version: 8, opset_import: ["": 17]> {graph}'
    assert parse_model(text).SerializeToString() == openvino.RESHAPE


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_fails_says_so_and_gives_no_earlier_answer(threads: int) -> None:
    require_openvino()
    graph = "g (float[N] x, int64[2] t) => (float[A, B] y) { y = Reshape(x, t) }"
    options = make_options()
    options.intra_op_num_threads = threads
    model = parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}').SerializeToString()
    session = find_provider("openvino").open(model, options)
    x = np.ones(6, np.float32)
    for shape, fits in (((4, 4), False), ((2, 3), True), ((4, 4), False)):
        given = {"x": x, "t": np.array(shape)}
        if fits:
            assert session.run(None, given)[0].shape == shape
        else:
            with pytest.raises(RuntimeException, match="reshape: the shape of input data"):
                session.run(None, given)


@pytest.mark.parametrize(("able", "computed"), [("FP32 INT8", ()), ("BF16 FP32", ("bf16",)), ("", ())])
def test_openvino_is_asked_for_what_the_processor_has_alone(
    able: str, computed: tuple[Precision, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take bfloat16 for fp16, and float32 for both, and say nothing."""
    provider = PROVIDERS["openvino"]
    device = SimpleNamespace(ep_metadata={"OPTIMIZATION_CAPABILITIES": able})
    monkeypatch.setattr(provider, "find_devices", lambda: [device], raising=False)
    fewer: tuple[Precision, ...] = ("bf16", "fp16")
    assert tuple(precision for precision in fewer if provider.computes(precision)) == computed
    assert provider.computes("fp32")


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


@pytest.mark.parametrize(
    ("graph", "fault"),
    [
        ("g (string[N] x) => (string[N] y) { y = Identity(x) }", "gets texts wrong"),
        ("g (float[N] x) => (double[N] y) { y = Cast<to = 11>(x) }", "computes float64 in float32"),
        (
            "g (float[5] x, int64[N, 1] i) => (float[N] y) { y = GatherND(x, i) }",
            "reads past a table where an index is too large in `GatherND`",
        ),
    ],
)
def test_what_openvino_gets_wrong_is_refused(graph: str, fault: str) -> None:
    require_openvino()
    model = parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}').SerializeToString()
    find_provider("cpu").open(model, make_options())
    with pytest.raises(UnsuitableModelError, match=f"`openvino` {fault}, which this model has"):
        find_provider("openvino").open(model, make_options())
