import json
import sys
from collections.abc import Callable

import pytest

from adaptact.doctor import examination
from adaptact.doctor.command import main
from adaptact.doctor.requirements import CORE, Package
from adaptact.doctor.trials import Loaded
from adaptact.installation import install_line

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def extras(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Package, ...]]:
    """What is required, none of it tried for real."""
    found: dict[str, tuple[Package, ...]] = {
        CORE: (Package("numpy", ">=2.0", "2.4.6", is_supported=True),),
        "convert": (Package("onnx", ">=1.23", None, is_supported=False),),
    }
    monkeypatch.setattr(examination, "read_extras", lambda: found)
    return found


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The error with which each module or provider ends."""
    found: dict[str, str] = {}
    facts = {"onnxruntime": {"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]}}
    monkeypatch.setattr(
        examination,
        "try_modules",
        lambda modules: {name: Loaded(found.get(name), facts.get(name, {})) for name in modules},
    )
    monkeypatch.setattr(examination, "try_provider", found.get)
    monkeypatch.setattr(examination, "try_plug_in", lambda provider: found.get(provider.native))
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["adaptact doctor", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.mark.usefixtures("extras", "errors")
def test_what_is_missing_is_no_fault_and_has_its_line(run: Run) -> None:
    status, out, _ = run()
    assert status == 0
    assert "convert  no onnx" in out.splitlines()
    assert f"to install an extra: {install_line('EXTRA')}" in out.splitlines()
    assert out.splitlines()[-1] == "all that is installed works"


@pytest.mark.usefixtures("extras", "errors")
def test_an_extra_that_is_named_must_be_complete(run: Run) -> None:
    status, out, _ = run("convert")
    assert status == 1
    assert f"PROBLEM: the extra `convert` lacks onnx: {install_line('convert')}" in out.splitlines()


@pytest.mark.usefixtures("extras", "errors")
def test_another_extra_is_wrong_use(run: Run) -> None:
    assert run("convret") == (
        2,
        "",
        "error: there is no extra `convret`\nhint: did you mean `convert`?\n",
    )


@pytest.mark.usefixtures("extras")
def test_a_broken_package_fails(run: Run, errors: dict[str, str]) -> None:
    errors["numpy"] = "ImportError: libblas"
    status, out, _ = run("--json")
    found = json.loads(out)
    assert status == 1
    assert found["problems"] == ["`numpy` cannot be loaded: ImportError: libblas"]
    assert found["packages"][0]["problem"] == "cannot be loaded: ImportError: libblas"


@pytest.mark.usefixtures("errors")
def test_a_version_that_is_not_supported_fails(run: Run, extras: dict[str, tuple[Package, ...]]) -> None:
    extras["convert"] = (Package("onnx", ">=1.23", "1.0", is_supported=False),)
    status, out, _ = run()
    assert status == 1
    assert "PROBLEM: `onnx` is 1.0, supported are >=1.23" in out.splitlines()


def test_providers_are_tried_and_the_cpu_must_work(
    run: Run, extras: dict[str, tuple[Package, ...]], errors: dict[str, str]
) -> None:
    extras["serve"] = (Package("onnxruntime", ">=1.31", "1.32.0", is_supported=True),)
    errors["CUDAExecutionProvider"] = "it finds no device"
    status, out, _ = run()
    assert status == 0
    rows = [line.split(maxsplit=1) for line in out.splitlines()]
    assert ["CUDAExecutionProvider", "it finds no device"] in rows
    assert ["OpenVINOExecutionProvider", "works"] in rows
    errors["CPUExecutionProvider"] = "it computes 3.0"
    assert run("--quiet") == (1, "", "")


@pytest.mark.usefixtures("errors")
def test_two_builds_of_onnx_runtime_are_a_fault(run: Run, extras: dict[str, tuple[Package, ...]]) -> None:
    names = ("onnxruntime", "onnxruntime-gpu")
    extras["serve"] = tuple(Package(name, "", "1.32.0", is_supported=True) for name in names)
    status, out, _ = run()
    assert status == 1
    assert "overwrite each other's files" in out
