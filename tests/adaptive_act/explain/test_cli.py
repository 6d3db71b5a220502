"""`adaptact-inspect`."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptive_act import save
from adaptive_act.explain.cli import main
from tests.adaptive_act.explain.models import INPUTS, build, data, learned

FINE, FAILED, WRONG_USE = 0, 1, 2


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save(learned(), tmp_path / "m.pt", factory=build, inputs=INPUTS, classes=["left", "middle", "right"])
    return tmp_path / "m.pt"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    x, labels = data(60)
    np.savez(tmp_path / "data.npz", x=x.numpy(), labels=labels.numpy())
    return tmp_path / "data.npz"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact-inspect", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_table_is_printed_and_no_file_written(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, checkpoint) == FINE
    out, err = capsys.readouterr()
    assert err == ""
    assert "ELU(alpha=0.7)" in out
    assert "1: From −50 to 50: below 0 it passes inputs with slope" in " ".join(out.split())
    assert [path.name for path in checkpoint.parent.iterdir()] == ["m.pt"]


def test_labelled_samples_give_decisions(
    checkpoint: Path, samples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, checkpoint, "--data", samples, "--json") == FINE
    said = json.loads(capsys.readouterr().out)
    assert [layer["layer"] for layer in said["layers"]] == ["1", "3"]
    assert said["layers"][0]["reach"]["total"] == 60 * 8
    assert said["decisions"]["samples"] == 60
    assert list(said["decisions"]["put_back"][0]["by_class"]) == ["left", "middle", "right"]
    assert set(said["provenance"]) == {"model", "samples", "adaptact", "torch"}


@pytest.mark.slow
def test_pictures_and_page_are_written_where_asked(
    checkpoint: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, page = tmp_path / "new" / "folder", tmp_path / "page.html"
    assert run(monkeypatch, checkpoint, "--data", samples, "--output", output, "--html", page) == FINE
    assert sorted(path.name for path in output.iterdir()) == ["curves.png", "report.html", "report.png"]
    assert (output / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert page.read_text() == (output / "report.html").read_text()
    assert "Activations of m.pt" in page.read_text()


@pytest.mark.slow
def test_a_second_run_writes_the_same_bytes(
    checkpoint: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for name in ("first", "second"):
        assert run(monkeypatch, checkpoint, "--data", samples, "--output", tmp_path / name) == FINE
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]


def test_a_factory_that_the_user_names_builds_the_model(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    factory = ("--factory", "tests.adaptive_act.explain.models:build")
    assert run(monkeypatch, checkpoint, *factory, "--factory-kwargs", '{"depth": 2}') == FAILED
    assert "factory `build` failed with {'depth': 2}" in " ".join(capsys.readouterr().err.split())
    assert run(monkeypatch, checkpoint, *factory) == FINE


def test_failures_are_one_line(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, empty, other = tmp_path / "bare.pt", tmp_path / "empty.pt", tmp_path / "other.npz"
    torch.save(build().state_dict(), bare)
    save(build(), empty, factory=build, inputs=INPUTS)
    np.savez(other, y=np.zeros(3))
    for arguments, message in (
        ((bare,), "found a bare state_dict"),
        ((empty,), "holds no adaptive activation"),
        ((checkpoint, "--data", other), "has no array `x`"),
        ((checkpoint, "--monitor", other), "expected a monitor's CSV file"),
    ):
        assert run(monkeypatch, *arguments) == FAILED
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert message in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("missing.pt",),
        (".",),
        ("m.pt", "--data", "missing.npz"),
        ("m.pt", "--output", "m.pt"),
        ("m.pt", "--html", "no/folder/page.html"),
        ("m.pt", "--factory-kwargs", "{"),
        ("m.pt", "--factory-kwargs", "[]"),
        ("m.pt", "--unknown"),
        (),
    ],
)
def test_wrong_use_ends_with_2(
    arguments: tuple[str, ...], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert run(monkeypatch, *arguments) == WRONG_USE
