import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from adaptact.exit_codes import FINE, PARITY_FAILED, WRONG_USE
from convert.commands import export, inspect, verify
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest
from convert.precision.ranges import NAMES
from tests.convert.models import classifier, save_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, samples with labels, and calibration data."""
    made = tmp_path_factory.mktemp("precision")
    save_checkpoint(made / "m.pt", "Swish")
    x = np.random.default_rng(0).standard_normal((220, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        labels = classifier("Swish")(torch.from_numpy(x[:60])).argmax(1).numpy()
    np.savez(made / "samples.npz", image=x[:60], labels=labels)
    np.savez(made / "calibration.npz", image=x[60:])
    return made


def _run(monkeypatch: pytest.MonkeyPatch, command: object, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact", *map(str, arguments)])
    with pytest.raises(SystemExit) as exc_info:
        command.main()  # type: ignore[attr-defined]
    return int(exc_info.value.code or 0)


@pytest.fixture(scope="module")
def static(folder: Path) -> Path:
    """A static int8 file."""
    with pytest.MonkeyPatch.context() as patch:
        given = ("--samples", folder / "samples.npz", "--calibration", folder / "calibration.npz")
        source, destination = folder / "m.pt", folder / "static.onnx"
        assert _run(patch, export, source, destination, "--precision", "int8", *given) == FINE
    return destination


def _read_manifest(path: Path) -> Manifest:
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return Manifest.from_json(entries[MANIFEST_KEY])


@pytest.mark.slow
def test_the_manifest_holds_the_gate(static: Path) -> None:
    manifest = _read_manifest(static)
    record = manifest.rounding
    assert record is not None
    assert (manifest.precision, record.method, record.judged_on) == ("int8", "static", "given")
    assert (record.samples, record.calibration_samples) == (60, 160)
    assert record.ranges_by in NAMES.values()
    assert record.accuracy is not None
    assert (record.accuracy.samples, record.accuracy.original) == (60, 60)
    assert record.losses[0].largest <= record.max_error == 0.05
    assert record.losses[0].agreed == record.accuracy.file
    assert manifest.parity.outputs[0].file_error <= manifest.parity.outputs[0].allowed


@pytest.mark.slow
def test_it_is_verified_by_its_own_gate(
    static: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--samples", folder / "samples.npz")
    assert _run(monkeypatch, verify, folder / "m.pt", static, *given, "--json") == FINE
    text = json.loads(capsys.readouterr().out)
    assert (text["passed"], text["parity"], text["gate"]["method"]) == (True, None, "static")
    strict = ("--max-error", "0.00001", "--report", folder / "page.html")
    assert _run(monkeypatch, verify, folder / "m.pt", static, *given, *strict) == PARITY_FAILED
    out, err = capsys.readouterr()
    assert "gate FAILED" in out
    assert "--max-error" in err
    assert "FAILED: int8" in (folder / "page.html").read_text()


@pytest.mark.parametrize(
    ("given", "reason"),
    [((), "generated samples leave them"), (("--tolerance", "logits=0.1"), "has a gate of its own")],
)
def test_a_budget_that_cannot_be_judged_is_wrong_use(
    static: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: tuple[str, ...],
    reason: str,
) -> None:
    assert _run(monkeypatch, verify, folder / "m.pt", static, *given) == WRONG_USE
    assert reason in capsys.readouterr().err


def test_the_file_of_another_model_fails_its_gate(
    static: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = classifier("Swish", seed=1)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    factory = ("--factory", "tests.convert.models:classifier", "--factory-kwargs", '{"kind": "Swish"}')
    given = ("--samples", folder / "samples.npz", "--input", "image:float32[batch,3,8,8]")
    code = _run(monkeypatch, verify, tmp_path / "other.pt", static, *factory, *given)
    assert code == PARITY_FAILED


def test_it_is_shown(
    static: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = folder / "shown.html"
    monkeypatch.setattr(sys, "argv", ["adaptact-inspect", str(static), "--html", str(page)])
    with pytest.raises(SystemExit):
        inspect.main()
    assert "gate passed: int8, static" in capsys.readouterr().out
    assert "Precision" in page.read_text()
    monkeypatch.setattr(sys, "argv", ["adaptact-inspect", str(static), "--json"])
    with pytest.raises(SystemExit):
        inspect.main()
    text = json.loads(capsys.readouterr().out)
    record = _read_manifest(static).rounding
    assert record is not None
    assert text["manifest"]["rounding"] == json.loads(json.dumps(dataclasses.asdict(record)))


@pytest.mark.slow
def test_a_file_that_fails_its_gate_is_not_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--precision", "int8", "--max-error", "0.000001")
    assert _run(monkeypatch, export, folder / "m.pt", tmp_path / "m.onnx", *given) == PARITY_FAILED
    err = capsys.readouterr().err
    assert "int8 failed its gate" in err
    assert "(--max-error)" in err
    assert "hint: allow more" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("--precision", "fp16", "--calibration", "x.npz"), "is for int8"),
        (("--calibration", "x.npz"), "is for int8"),
        (("--max-error", "0.1"), "fp32 is judged by parity"),
        (("--precision", "int8", "--max-accuracy-drop", "0.1"), "needs samples with labels"),
        (("--precision", "int8", "--calibration", "samples.npz"), "has no array `image`"),
    ],
)
def test_options_that_do_not_fit_are_wrong_use(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: tuple[str, ...],
    reason: str,
) -> None:
    np.savez(tmp_path / "samples.npz", other=np.zeros((2, 3, 8, 8), np.float32))
    monkeypatch.chdir(tmp_path)
    assert _run(monkeypatch, export, folder / "m.pt", "m.onnx", *given) == WRONG_USE
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()
