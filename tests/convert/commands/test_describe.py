"""`adaptact describe`: what a file says of itself, and a file that others exported."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from adaptact.exit_codes import FAILED, FINE, WRONG_USE
from convert.artefact.signing import sign
from convert.commands import describe
from convert.manifest.description import Description
from convert.manifest.model_file import read_model_content
from convert.manifest.preprocessing import IMAGENET
from convert.manifest.signature import read_signer, verify
from convert.sources.file_description import read_description
from tests.convert.keys import write_keys

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N,3,224,224] image) => (float[N,3] scores) { scores = ReduceMean<axes=[2,3], keepdims=0>(image) }
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that others exported, in the current folder, with the names of its classes beside it."""
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("cat\ndog\n犬", encoding="utf-8")
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.parser.parse_model(TEXT).SerializeToString())
    return path


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact describe", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        describe.main()
    return int(ended.value.code or 0)


def _read(file: Path) -> Description:
    found = read_model_content(file)
    return read_description(found.metadata, found.manifest)


def test_what_is_missing_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, file) == FINE
    out = capsys.readouterr().out
    assert "not named: --classes labels.txt" in out
    assert "not described, so that images are refused" in out
    assert "columns" not in out
    assert "tokenizer" not in out
    assert "[any, 3, 224, 224]" in out


def test_a_description_is_shown_and_then_written(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    said = ("--classes", "labels.txt", "--preprocessing", "imagenet")
    assert _run(monkeypatch, file, *said) == FINE
    assert "nothing is written; add --write" in capsys.readouterr().out
    assert file.read_bytes() == before
    Path("t.json").write_text('{"model": {}}')
    assert _run(monkeypatch, file, *said, "--write", "--tokenizer", "t.json", "--json") == FINE
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == f"wrote {file}\n"
    assert (result["classes"], result["tokenizer"]) == (["cat", "dog", "犬"], "m.tokenizer.json")
    assert result["preprocessing"] == IMAGENET.to_json()
    assert file.read_bytes().startswith(before)
    assert _read(file) == Description(("cat", "dog", "犬"), preprocessing=IMAGENET)


def test_a_part_may_be_taken_out_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(monkeypatch, file, "--classes", "labels.txt", "--preprocessing", "imagenet", "--write")
    assert _run(monkeypatch, file, "--classes", "none", "--write", "--quiet") == FINE
    assert _read(file) == Description(preprocessing=IMAGENET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--classes", "two.txt"), "2 classes are named, and the model has `scores`"),
        (("--columns", "two.txt"), "columns are those of one input"),
        (("--preprocessing", "p.toml"), "images of [32, 32] pixels are described"),
        (("--sign", "key.pem"), "add --write"),
        (("--write",), "there is nothing to write"),
    ],
)
def test_what_does_not_fit_the_model_is_not_written(
    options: tuple[str, ...],
    message: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("two.txt").write_text("a\nb")
    Path("p.toml").write_text("resize = [32, 32]")
    before = file.read_bytes()
    write = () if "--sign" in options or "--write" in options else ("--write",)
    assert _run(monkeypatch, file, *options, *write) == WRONG_USE
    assert message in " ".join(capsys.readouterr().err.split())
    assert file.read_bytes() == before


def test_a_signed_file_is_not_changed_unasked(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = write_keys(file.parent)
    file.write_bytes(sign(file.read_bytes(), keys.private))
    said = ("--classes", "labels.txt", "--write")
    assert _run(monkeypatch, file, *said) == WRONG_USE
    error = " ".join(capsys.readouterr().err.split())
    assert "is signed by key" in error
    assert "--sign key.pem; or leave it unsigned: --drop-signature" in error
    assert _run(monkeypatch, file, *said, "--sign", keys.private) == FINE
    assert verify(file.read_bytes(), keys.public)
    assert _run(monkeypatch, file, "--classes", "none", "--write", "--drop-signature") == FINE
    assert read_signer(file.read_bytes()) is None


def test_what_goes_before_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "config.toml").write_text('batching = "on"\nclasses = ["a", "b", "c"]')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "1" / "model.onnx").write_bytes(onnx.parser.parse_model(TEXT).SerializeToString())
    assert _run(monkeypatch, tmp_path / "1" / "model.onnx") == FINE
    out = capsys.readouterr().out
    assert "config.toml of the model's folder goes before: classes" in out
    assert "tokenizer.json" in out


@pytest.mark.parametrize("content", [b"", b"<html>"])
def test_another_file_is_refused(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert _run(monkeypatch, tmp_path / "m.onnx") == FAILED


def test_a_baseline_is_measured_and_then_written(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    images = np.random.default_rng(0).random((100, 3, 224, 224), np.float32)
    np.savez("samples.npz", image=images)
    assert _run(monkeypatch, file) == FINE
    assert "none, so that drift is not seen: --baseline" in capsys.readouterr().out
    assert _run(monkeypatch, file, "--baseline", "samples.npz") == FINE
    out = capsys.readouterr().out
    assert "100 rows" in out
    assert "nothing is written; add --write" in out
    assert file.read_bytes() == before
    assert _run(monkeypatch, file, "--baseline", "samples.npz", "--write") == FINE
    assert file.read_bytes().startswith(before)
    capsys.readouterr()
    assert _run(monkeypatch, file, "--json") == FINE
    assert json.loads(capsys.readouterr().out)["baseline_rows"] == 100
