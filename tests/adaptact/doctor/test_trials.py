import sys
from pathlib import Path

import pytest
from onnx.parser import parse_model

from adaptact.doctor import probe
from adaptact.doctor.trials import find_modules, try_modules, try_plug_in, try_provider
from adaptact.providers.openvino import OpenVinoProvider

BROKEN = {
    "raises_as_it_loads": "raise OSError('libx.so.1: cannot open\\nmore')",
    "kills_itself": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "leaves": "import os; os._exit(7)",
    "prints": "print('[1]'); print('{\"a\": 1}')",
}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("broken")
def test_a_broken_package_ends_nothing_but_its_own_trial() -> None:
    names = ["raises_as_it_loads", "kills_itself", "leaves", "not_there", "prints", "json"]
    assert {name: loaded.error for name, loaded in try_modules(names).items()} == {
        "raises_as_it_loads": "OSError: libx.so.1: cannot open more",
        "kills_itself": "loading it ends the process (SIGSEGV)",
        "leaves": "loading it ends the process (status 7)",
        "not_there": "ModuleNotFoundError: No module named 'not_there'",
        "prints": None,
        "json": None,
    }


def test_a_trial_that_takes_too_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaptact.doctor.trials.SECONDS", 0.0)
    assert try_modules(["json"])["json"].error == "loading it takes more than 0 s"


def test_an_interpreter_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert try_modules(["json"])["json"].error == "no process can be started: No such file or directory"


def test_providers_compute_or_say_why_not() -> None:
    assert try_provider("CPUExecutionProvider") is None
    assert try_provider("CUDAExecutionProvider") is not None


def test_a_plug_in_computes_or_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_plug_in(OpenVinoProvider()) in (None, "it finds no CPU here that it runs on")
    library = tmp_path / "plugin.so"
    library.touch()
    monkeypatch.setenv("ADAPTACT_OPENVINO_LIBRARY", str(library))
    assert "plugin.so" in str(try_plug_in(OpenVinoProvider()))


def test_the_probes_model_is_what_onnx_writes() -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[1] x) => (float[1] y) { y = Relu(x) }'
    assert parse_model(text).SerializeToString() == probe.MODEL


def test_each_package_has_its_module() -> None:
    found = find_modules(["PyYAML", "scikit-learn", "protobuf", "pillow", "typing_extensions"])
    assert found == {
        "pyyaml": "yaml",
        "scikit-learn": "sklearn",
        "protobuf": "google.protobuf",
        "pillow": "PIL",
        "typing-extensions": "typing_extensions",
    }
