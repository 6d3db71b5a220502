"""`adaptact inspect` on ONNX files, and what it hands on."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from adaptact.exit_codes import FAILED, FINE, WRONG_USE
from adaptact.installation import install_line
from convert.commands.inspect import main
from convert.manifest.manifest import Manifest
from convert.pipeline import convert
from tests.convert.manifest.test_manifest import COVERAGE, TUNING
from tests.convert.models import save_checkpoint


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("source") / "model.pt")


@pytest.fixture(scope="module")
def file(source: Path) -> Path:
    np.savez(source.with_suffix(".npz"), image=np.random.default_rng(0).random((70, 3, 8, 8), np.float32))
    convert(source, source.with_suffix(".onnx"), samples=source.with_suffix(".npz"))
    return source.with_suffix(".onnx")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact-inspect", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


@pytest.mark.slow
def test_weak_parity_is_printed_and_in_the_json(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(file)
    (entry,) = proto.metadata_props
    manifest = Manifest.from_json(entry.value)
    parity = dataclasses.replace(manifest.parity, coverage=COVERAGE)
    entry.value = dataclasses.replace(manifest, parity=parity).to_json()
    onnx.save(proto, tmp_path / "weak.onnx")
    assert run(monkeypatch, tmp_path / "weak.onnx") == FINE
    out = capsys.readouterr().out
    assert all(part in out for part in ("parity is weak; 4 of 5 weights", "input `mask` moves no output"))
    assert run(monkeypatch, tmp_path / "weak.onnx", "--json") == FINE
    content = json.loads(capsys.readouterr().out)
    assert content["strength"] == "weak"
    assert content["manifest"]["parity"]["coverage"]["unseen"] == ["1.weight"]


@pytest.mark.slow
def test_the_whole_manifest_is_printed(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, file) == FINE
    out, err = capsys.readouterr()
    assert err == ""
    for part in (
        "PELU",
        "a = 1.22",
        "elu_to_exp",
        "on rows `Elu` fuses",
        "logits",
        "given, 64",
        "Conv",
        "parity is strong; 16 of 16",
    ):
        assert part in out


def test_tuning_is_printed_and_in_the_json(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(file)
    (entry,) = proto.metadata_props
    entry.value = dataclasses.replace(Manifest.from_json(entry.value), tuning=TUNING).to_json()
    onnx.save(proto, tmp_path / "tuned.onnx")
    assert run(monkeypatch, tmp_path / "tuned.onnx") == FINE
    out = capsys.readouterr().out
    for part in ("tuned for cpu, 2 threads", "features.1", "elu_as_sum", "0.880 to 0.920", "taken"):
        assert part in out
    assert run(monkeypatch, "--json", tmp_path / "tuned.onnx") == FINE
    result = json.loads(capsys.readouterr().out)["manifest"]["tuning"]
    assert result["chosen"] == [{"kind": "Elu", "value": "elu_1", "layer": "features.1", "form": "kept"}]


def test_the_json_has_operators_and_the_manifest(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--json", file) == FINE
    result = json.loads(capsys.readouterr().out)
    operators = [node.op_type for node in onnx.load(file).graph.node]
    assert result["operators"] == {kind: operators.count(kind) for kind in operators}
    assert [record["layer"] for record in result["manifest"]["activations"]] == ["2", "5", "9"]
    assert result["bytes"] == file.stat().st_size


def test_page_and_picture_are_self_contained(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, file, "--html", tmp_path / "m.html", "--graph", tmp_path / "m.svg") == FINE
    page = (tmp_path / "m.html").read_text()
    assert "The model in model.onnx" in page
    assert "data:image/svg+xml;base64," in page
    assert not any(
        word in page for word in ("<script", "http://", "https://", str(tmp_path), str(file.parent))
    )
    assert (tmp_path / "m.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
def test_a_second_run_writes_the_same_bytes(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for name in ("first", "second"):
        html, graph = tmp_path / f"{name}.html", tmp_path / f"{name}.svg"
        assert run(monkeypatch, file, "--html", html, "--graph", graph) == FINE
        written.append((html.read_bytes(), graph.read_bytes()))
    assert written[0] == written[1]


def test_a_foreign_file_is_shown_without_evidence(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(file)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "bare.onnx")
    assert run(monkeypatch, tmp_path / "bare.onnx", "--html", tmp_path / "m.html") == FINE
    assert "no manifest: adaptact did not write this file" in capsys.readouterr().out
    assert "it contains no evidence" in (tmp_path / "m.html").read_text()


def test_a_checkpoint_goes_to_the_explainer(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, source, "--json") == FINE
    assert [layer["layer"] for layer in json.loads(capsys.readouterr().out)["layers"]] == ["2", "5", "9"]


def test_the_help_names_both_kinds_of_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == FINE
    assert "adaptact inspect model.onnx --help" in capsys.readouterr().out
    assert run(monkeypatch, "model.onnx", "--help") == FINE
    assert "--graph" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"words", b"\x08\x08", b"PK\x03\x04"])
def test_a_file_that_is_no_onnx_model_ends_with_1(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert run(monkeypatch, tmp_path / "m.onnx") == FAILED
    assert "is not an ONNX model" in capsys.readouterr().err


def test_a_newer_manifest_is_refused_with_a_hint(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(file)
    (entry,) = proto.metadata_props
    entry.value = entry.value.replace("adaptact-manifest/1.", "adaptact-manifest/2.")
    onnx.save(proto, tmp_path / "m.onnx")
    assert run(monkeypatch, tmp_path / "m.onnx") == FAILED
    assert "read the file with the version that wrote it, or a newer one" in capsys.readouterr().err


def test_a_manifest_that_contradicts_itself_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(file)
    (entry,) = proto.metadata_props
    content = json.loads(entry.value)
    content["activations"][0]["curve"]["points"].pop()
    entry.value = json.dumps(content)
    onnx.save(proto, tmp_path / "m.onnx")
    assert run(monkeypatch, tmp_path / "m.onnx", "--html", tmp_path / "m.html") == FAILED
    assert "do not fit their 32 points" in capsys.readouterr().err


def test_names_are_not_drawn_as_formulas(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proto = onnx.load(file)
    (entry,) = proto.metadata_props
    content = json.loads(entry.value)
    content["activations"][0]["layer"] = "$\\frac{$"
    entry.value = json.dumps(content)
    proto.graph.output[0].name = proto.graph.node[-1].output[0] = "$\\frac{$"
    onnx.save(proto, tmp_path / "m.onnx")
    written = ("--html", tmp_path / "m.html", "--graph", tmp_path / "m.svg")
    assert run(monkeypatch, tmp_path / "m.onnx", *written) == FINE


def test_wrong_use_ends_with_2(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, file, "--graph", tmp_path / "m.txt") == WRONG_USE
    assert run(monkeypatch, file, "--html", file) == WRONG_USE
    assert run(monkeypatch, file, "--html", tmp_path / "none" / "m.html") == FAILED


def test_missing_libraries_get_an_install_hint(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "convert.evidence.inspection", raising=False)
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    assert run(monkeypatch, file) == FAILED
    assert install_line("convert") in capsys.readouterr().err
