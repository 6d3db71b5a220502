"""Plug-ins, of which ONNX Runtime is played here: whether it has devices depends on the processor."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import Mock

import onnxruntime as ort
import pytest

from adaptact.errors import ProviderError
from adaptact.providers.openvino import OpenVinoProvider

NATIVE = "OpenVINOExecutionProvider"


class Runtime:
    """What ONNX Runtime does with libraries: it knows their devices once they are registered."""

    def __init__(self, *kinds: str) -> None:
        self.kinds, self.loaded, self.devices = kinds, list[str](), list[SimpleNamespace]()

    def register(self, name: str, library: str) -> None:
        if self.loaded:
            raise RuntimeError(f"EP library is already registered under {name}")
        self.loaded.append(library)
        device = [SimpleNamespace(type=SimpleNamespace(name=kind)) for kind in self.kinds]
        self.devices = [SimpleNamespace(ep_name=name, device=each) for each in device]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "plugin.so"
    path.touch()
    monkeypatch.setenv("ADAPTACT_OPENVINO_LIBRARY", str(path))
    return path


def play(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.setattr(ort, "register_execution_provider_library", runtime.register)
    monkeypatch.setattr(ort, "get_ep_devices", lambda: runtime.devices)
    return runtime


def test_a_plug_in_is_loaded_once_in_a_process(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = play(Runtime("CPU"), monkeypatch)
    for _ in range(2):
        OpenVinoProvider().require()
    assert runtime.loaded == [str(library)]


def test_what_onnx_runtime_has_loaded_itself_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = play(Runtime("GPU", "CPU", "NPU"), monkeypatch)
    runtime.register(NATIVE, "its own")
    (device,) = OpenVinoProvider().find_devices()
    assert device.device.type.name == "CPU"
    assert runtime.loaded == ["its own"]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("kinds", [(), ("GPU",)])
def test_no_processor_that_it_runs_on_is_an_error(
    kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(Runtime(*kinds), monkeypatch)
    for _ in range(2):
        with pytest.raises(ProviderError, match="its plug-in finds nothing here") as caught:
            OpenVinoProvider().require()
        assert "Intel" in str(caught.value.hint)


def test_a_missing_plug_in_is_an_error_that_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    play(Runtime(), monkeypatch)
    monkeypatch.delenv("ADAPTACT_OPENVINO_LIBRARY", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", None)
    with pytest.raises(ProviderError, match="`onnxruntime_ep_openvino` is not installed") as caught:
        OpenVinoProvider().require()
    assert "[openvino]" in str(caught.value.hint)


def test_a_package_without_its_library_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose() -> str:
        raise FileNotFoundError("plugin.so")

    play(Runtime(), monkeypatch)
    monkeypatch.delenv("ADAPTACT_OPENVINO_LIBRARY", raising=False)
    package = ModuleType("onnxruntime_ep_openvino")
    package.get_library_path = lose  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", package)
    with pytest.raises(ProviderError, match="is not installed"):
        OpenVinoProvider().require()


@pytest.mark.parametrize(
    "error", [ImportError("libtbb.so.12: no such file"), OSError("libtbb.so.12: no such file"), None]
)
def test_a_package_that_is_there_and_fails_is_not_said_to_be_missing(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADAPTACT_OPENVINO_LIBRARY", raising=False)
    package = ModuleType("onnxruntime_ep_openvino")
    if error is not None:
        package.get_library_path = Mock(side_effect=error)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", package)
    reason = "libtbb.so.12: no such file" if error else "has no attribute"
    with pytest.raises(ProviderError, match=f"cannot be loaded: .*{reason}") as caught:
        OpenVinoProvider().find_library()
    assert "`onnxruntime_ep_openvino` must fit this ONNX Runtime" in str(caught.value.hint)


def test_a_library_named_by_the_environment_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTACT_OPENVINO_LIBRARY", "/nowhere/plugin.so")
    with pytest.raises(ProviderError, match=r"`ADAPTACT_OPENVINO_LIBRARY` is `/nowhere/plugin\.so`, which"):
        OpenVinoProvider().find_library()


@pytest.mark.usefixtures("library")
def test_what_is_no_plug_in_is_an_error() -> None:
    devices = [each for each in ort.get_ep_devices() if each.ep_name == NATIVE]
    if devices:
        pytest.skip("the plug-in is loaded in this process already")
    with pytest.raises(ProviderError, match=r"plug-in of provider `openvino` cannot be loaded: .*plugin.so"):
        OpenVinoProvider().require()
