import json
import sys
from pathlib import Path

import pytest
import torch

from convert.commands.ending import FAILED, FINE, PARITY_FAILED, WRONG_USE, status_of
from convert.commands.export import main
from convert.errors import (
    ConversionError,
    DestinationError,
    ExportError,
    ParityError,
    SignatureError,
    SourceError,
    UsageError,
)
from convert.evidence.inspection import inspect
from convert.manifest.signature import verify
from tests.convert.keys import PASSWORD, keys
from tests.convert.models import checkpoint, classifier

STATUS: dict[type[ConversionError], int] = {
    UsageError: WRONG_USE,
    SourceError: FAILED,
    DestinationError: FAILED,
    ExportError: FAILED,
    SignatureError: FAILED,
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
        "reference",
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


def test_a_tuned_file_says_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tune = ("--tune", "--tune-seconds", 3, "--batch", "1,4", "--threads", 1)
    assert _run(monkeypatch, checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx", *tune) == FINE
    out, err = capsys.readouterr()
    assert "tuned: cpu, 1 thread, batch 1, 4, " in out
    assert "tune " in err
    found = inspect(tmp_path / "m.onnx").manifest
    assert found is not None
    assert found.tuning is not None
    assert found.tuning.batches == (1, 4)
    assert found.tuning.seconds == 3.0
    assert len(list(tmp_path.glob("cache/adaptact/tuning/*.json"))) == 1
    assert _run(monkeypatch, tmp_path / "m.pt", tmp_path / "again.onnx", *tune) == FINE
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


WRONG = {
    "a shape": ("--input", "image"),
    "JSON": ("--factory-kwargs", "{"),
    "a JSON list": ("--factory-kwargs", "[]"),
    "a tolerance": ("--tolerance", "logits"),
    "a tolerance's number": ("--tolerance", "logits=x"),
    "an opset": ("--opset", "99"),
    "an option": ("--tuned",),
    "how to tune, without --tune": ("--batch", "1"),
    "a batch": ("--tune", "--batch", "1,x"),
    "a batch of none": ("--tune", "--batch", "0"),
    "threads": ("--tune", "--threads", 0),
    "a time": ("--tune", "--tune-seconds", "nan"),
    "a provider": ("--provider", "tpu"),
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
    monkeypatch.setattr("convert.parity.criterion.FACTOR", 0.0)
    monkeypatch.setattr("convert.parity.criterion.FLOOR", 0.0)
    assert _run(monkeypatch, checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx") == PARITY_FAILED
    assert "parity failed for output `logits`" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


def test_signature_report_and_configuration_are_written_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, file = keys(tmp_path), tmp_path / "m.onnx"
    asked = ("--sign", pair.encrypted, "--report", tmp_path / "m.html", "--triton", tmp_path / "config.pbtxt")
    monkeypatch.setenv("ADAPTACT_KEY_PASSWORD", PASSWORD)
    assert _run(monkeypatch, checkpoint(tmp_path / "m.pt"), file, *asked) == FINE
    assert verify(file.read_bytes(), pair.public)
    assert "signed by key" in (tmp_path / "m.html").read_text()
    assert 'name: "logits"' in (tmp_path / "config.pbtxt").read_text()


def test_what_cannot_be_written_besides_is_refused_before_anything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, file = checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx"
    assert _run(monkeypatch, source, file, "--report", file) == WRONG_USE
    assert (
        _run(monkeypatch, source, file, "--report", tmp_path / "r", "--triton", tmp_path / "r") == WRONG_USE
    )
    assert _run(monkeypatch, source, file, "--report", tmp_path / "none" / "r.html") == FAILED
    assert _run(monkeypatch, source, file, "--sign", source) == WRONG_USE
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]
