import json
import sys
from pathlib import Path

import pytest
import torch

from adaptact.exit_codes import FAILED, FINE, PARITY_FAILED, WRONG_USE
from convert.commands.export import main
from convert.evidence.inspection import read_onnx_file
from convert.manifest.signature import verify
from convert.model_io.inputs import parse_input
from convert.recheck import RecheckOptions, recheck
from tests.convert.keys import PASSWORD, write_keys
from tests.convert.models import classifier, save_checkpoint, save_graph
from tests.convert.sources.files import network

FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_graph(tmp_path_factory.mktemp("graph") / "graph.onnx")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact-export", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


@pytest.mark.slow
def test_stages_go_to_stderr_and_the_result_to_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, save_checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx") == FINE
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
    file, output, strength, rules, more = out.splitlines()
    assert file == f"{tmp_path}/m.onnx: {(tmp_path / 'm.onnx').stat().st_size:,} bytes, parity passed"
    assert output.startswith("logits: largest error ")
    assert strength.startswith("parity is strong; ")
    assert rules.startswith("rewritten exactly: ")
    assert more == f"more: adaptact inspect {tmp_path}/m.onnx"
    assert (tmp_path / "m.onnx").exists()


@pytest.mark.slow
def test_json_is_all_that_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(classifier("Swish").state_dict(), tmp_path / "s.pt")
    factory = ("--factory", "tests.convert.models:classifier", "--factory-kwargs", '{"kind": "Swish"}')
    options = ("--input", "image:float32[N,3,8,8]", "--tolerance", "output=0.001", "--opset", 21, "--json")
    assert _run(monkeypatch, tmp_path / "s.pt", tmp_path / "m.onnx", *factory, *options) == FINE
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert result["bytes"] == (tmp_path / "m.onnx").stat().st_size
    assert result["opset"] == 21
    assert result["strength"] == "strong"
    assert result["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["N", 3, 8, 8], "below": None}]
    assert result["parity"]["outputs"][0]["tolerance"] == 0.001
    assert result["activations"][0] == {"layer": "2", "kind": "Swish"}


@pytest.mark.slow
def test_tuning_is_printed_recorded_and_cached(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tune = ("--tune", "--tune-seconds", 3, "--batch", "1,4", "--threads", 1)
    assert _run(monkeypatch, graph, tmp_path / "m.onnx", *tune) == FINE
    out, err = capsys.readouterr()
    assert "tuned: cpu, 1 thread, batch 1, 4, " in out
    assert "tune " in err
    manifest = read_onnx_file(tmp_path / "m.onnx").manifest
    assert manifest is not None
    assert manifest.tuning is not None
    assert manifest.tuning.batches == (1, 4)
    assert manifest.tuning.seconds == 3.0
    assert len(list(tmp_path.glob("cache/adaptact/tuning/*.json"))) == 1
    assert _run(monkeypatch, graph, tmp_path / "again.onnx", *tune) == FINE
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
    source = save_checkpoint(tmp_path / "m.pt")
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


@pytest.mark.slow
def test_failed_parity_ends_with_3(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("convert.parity.criterion.FACTOR", 0.0)
    monkeypatch.setattr("convert.parity.criterion.FLOOR", 0.0)
    assert _run(monkeypatch, graph, tmp_path / "m.onnx") == PARITY_FAILED
    assert "parity failed for output `logits`" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.slow
def test_signature_report_and_configuration_are_written(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, file = write_keys(tmp_path), tmp_path / "m.onnx"
    report, triton = tmp_path / "m.html", tmp_path / "config.pbtxt"
    options = ("--sign", keys.encrypted, "--report", report, "--triton", triton)
    monkeypatch.setenv("ADAPTACT_KEY_PASSWORD", PASSWORD)
    assert _run(monkeypatch, graph, file, *options) == FINE
    assert verify(file.read_bytes(), keys.public)
    assert "signed by key" in report.read_text()
    assert 'name: "logits"' in triton.read_text()


def test_extra_files_are_checked_before_work_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, file = save_checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx"
    assert _run(monkeypatch, source, file, "--report", file) == WRONG_USE
    assert (
        _run(monkeypatch, source, file, "--report", tmp_path / "r", "--triton", tmp_path / "r") == WRONG_USE
    )
    assert _run(monkeypatch, source, file, "--report", tmp_path / "none" / "r.html") == FAILED
    assert _run(monkeypatch, source, file, "--sign", source) == WRONG_USE
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


@pytest.mark.parametrize("option", ["--samples", "--calibration", "--sign", "--classes", "--tokenizer"])
@pytest.mark.parametrize("written", ["m.onnx", "--report", "--triton"])
def test_no_file_that_is_read_is_written_over(
    option: str,
    written: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = tmp_path / "given.onnx"
    read.write_text("kept")
    source, file = save_checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx"
    arguments = (read,) if written == "m.onnx" else (file, written, read)
    assert _run(monkeypatch, source, *arguments, option, read) == WRONG_USE
    assert "is a file to read; write to another one" in capsys.readouterr().err
    assert read.read_text() == "kept"


def test_only_an_onnx_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.py").write_text("kept")
    assert _run(monkeypatch, save_checkpoint(tmp_path / "m.pt"), tmp_path / "net.py") == WRONG_USE
    assert (tmp_path / "net.py").read_text() == "kept"


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="Linux's device that is always full")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_unprintable_result_is_an_error(
    options: tuple[str, ...],
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "m.onnx"
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert _run(monkeypatch, graph, file, *options) == FAILED
    *_, error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: cannot print the result: No space left on device"
    assert hint == f"hint: `{file}` itself is written"
    assert file.exists()


@pytest.mark.slow
def test_what_was_taken_off_a_state_dict_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {f"module.{name}": tensor for name, tensor in network(2).state_dict().items()}
    torch.save({"model": network().state_dict(), "ema": state}, tmp_path / "s.pt")
    options = ("--factory", "tests.convert.sources.files:network", "--input", "x:float32[N,4]")
    assert _run(monkeypatch, tmp_path / "s.pt", tmp_path / "m.onnx", *options) == WRONG_USE
    assert "choose one: --state-key model" in capsys.readouterr().err
    assert _run(monkeypatch, tmp_path / "s.pt", tmp_path / "m.onnx", *options, "--state-key", "ema") == FINE
    assert "source: taken from `ema`\nsource: `module.` removed from its names" in capsys.readouterr().out
    file = read_onnx_file(tmp_path / "m.onnx")
    assert "taken from `ema`" in file.list_facts()["as its source was loaded"]
    for key, passes in {"ema": True, "model": False}.items():
        chosen = RecheckOptions(options[1], inputs=[parse_input(options[3])], state_key=key)
        assert (recheck(tmp_path / "s.pt", file, chosen).failure is None) == passes
