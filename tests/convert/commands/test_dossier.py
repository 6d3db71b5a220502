"""`adaptact dossier` from its words to its file."""

import json
import sys
from pathlib import Path

import pytest

from convert.artefact.file import serialise
from convert.commands.dossier import main
from tests.convert.graphs import parse_graph, write_graph


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact dossier", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(serialise(parse_graph(write_graph("y = Relu(x)")), None))
    return path


def test_a_dossier_is_written_in_the_language(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = file.with_name("d.html")
    assert run(monkeypatch, file, output, "--purpose", "Sort digits.", "--language", "ja") == 0
    assert '<html lang="ja">' in output.read_text(encoding="utf-8")
    assert "Sort digits." in output.read_text(encoding="utf-8")
    assert capsys.readouterr().err == f"wrote {output}\n"


def test_json_says_of_each_field_whether_it_is_filled(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, file, file.with_name("d.html"), "--json", "--language", "ja") == 0
    printed = json.loads(capsys.readouterr().out)
    statuses = {field["title"]: field["status"] for field in printed["fields"]}
    assert statuses["Version of the model"] == "recorded"
    assert statuses["Intended purpose"] == "missing"


def test_the_template_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--template") == 0
    assert 'purpose = ""' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a dossier needs two files"),
        (["m.onnx"], "a dossier needs two files"),
        (["m.onnx", "m.onnx"], "is a file to read"),
        (["m.onnx", "d.html", "--study", "nowhere"], "cannot be read"),
        (["m.onnx", "d.html", "--language", "de"], "language"),
    ],
)
def test_wrong_use_is_told(
    words: list[str],
    message: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(file.parent)
    assert run(monkeypatch, *words) == 2
    assert message in capsys.readouterr().err
    assert not Path("d.html").exists()
