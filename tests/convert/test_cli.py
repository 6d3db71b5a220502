import json
import sys
from pathlib import Path

import pytest
import torch

from convert.cli import FAILED, FINE, PARITY_FAILED, WRONG_USE, main, status_of
from convert.errors import (
    ConversionError,
    DestinationError,
    ExportError,
    ParityError,
    SourceError,
    UsageError,
)
from tests.convert.models import checkpoint, classifier

STATUS: dict[type[ConversionError], int] = {
    UsageError: WRONG_USE,
    SourceError: FAILED,
    DestinationError: FAILED,
    ExportError: FAILED,
    ParityError: PARITY_FAILED,
}


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact-export", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("error", ConversionError.__subclasses__())
def test_every_error_has_its_exit_status(error: type[ConversionError]) -> None:
    assert status_of(error("why")) == STATUS[error]


def test_a_checkpoint_is_converted_and_progress_goes_to_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx") == FINE
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in err.splitlines()] == [
        "load",
        "fold",
        "export",
        "optimise",
        "verify",
        "write",
    ]
    assert "parity passed" in out
    assert "logits" in out
    assert (tmp_path / "m.onnx").exists()


def test_json_is_all_that_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(classifier("Swish").state_dict(), tmp_path / "s.pt")
    factory = ("--factory", "tests.convert.models:classifier", "--factory-kwargs", '{"kind": "Swish"}')
    given = ("--input", "image:float32[N,3,8,8]", "--tolerance", "output=0.001", "--opset", 21, "--json")
    assert _run(monkeypatch, tmp_path / "s.pt", tmp_path / "m.onnx", *factory, *given) == FINE
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == ""
    assert said["bytes"] == (tmp_path / "m.onnx").stat().st_size
    assert said["opset"] == 21
    assert said["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["N", 3, 8, 8]}]
    assert said["parity"]["outputs"][0]["tolerance"] == 0.001
    assert said["activations"][0] == {"layer": "2", "kind": "Swish"}


WRONG = {
    "a shape": ("--input", "image"),
    "JSON": ("--factory-kwargs", "{"),
    "a JSON list": ("--factory-kwargs", "[]"),
    "a tolerance": ("--tolerance", "logits"),
    "a tolerance's number": ("--tolerance", "logits=x"),
    "an opset": ("--opset", "99"),
    "an option": ("--tune",),
    "samples": ("--samples", "nothing.npz"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_ends_with_2_and_writes_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = checkpoint(tmp_path / "m.pt")
    assert _run(monkeypatch, source, tmp_path / "m.onnx", *WRONG[case]) == WRONG_USE
    assert capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


def test_an_error_is_one_line_and_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.pt").write_bytes(b"PK\x03\x04")
    assert _run(monkeypatch, tmp_path / "m.pt", tmp_path / "m.onnx") == FAILED
    *_, error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: `")
    assert "truncated or damaged" in error
    assert hint == "hint: copy or save it again"


def test_failed_parity_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("convert.parity.FACTOR", 0.0)
    monkeypatch.setattr("convert.parity.FLOOR", 0.0)
    assert _run(monkeypatch, checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx") == PARITY_FAILED
    assert "parity failed for output `logits`" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()
