"""`adaptact-study` prints no raw terminal escape of any file or name that it reads."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptive_act.commands.study import main

HOSTILE = "\x1b]0;x\x07"
QUICK = ("--architecture", "mlp(width=4)", "--activations", "PReLU", "--epochs", "1", "--seeds", "1")

Study = Callable[..., tuple[int, str]]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Study:
    def run(*arguments: object) -> tuple[int, str]:
        options = ("--output", str(tmp_path / HOSTILE / "out"), "--jobs", "1", "--no-cost", *QUICK)
        monkeypatch.setattr(sys, "argv", ["adaptact-study", *options, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = "".join(capsys.readouterr())
        assert "]0;x" in printed
        assert "\x1b" not in printed
        assert "\x07" not in printed
        return int(ended.value.code or 0), printed

    return run


def write_images(folder: Path, *classes: str) -> None:
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for shade in range(10):
            Image.new("L", (4, 4), 100 * number + shade).save(folder / name / f"{shade}.png")


@pytest.mark.slow
def test_names_of_data_and_classes(tmp_path: Path, study: Study) -> None:
    write_images(tmp_path / HOSTILE, "a", HOSTILE)
    assert study("--data", tmp_path / HOSTILE)[0] == 0
    for name in ("report.md", "results.json"):
        assert "\x1b" not in (tmp_path / HOSTILE / "out" / name).read_text()


def test_an_image_that_cannot_be_read(tmp_path: Path, study: Study) -> None:
    write_images(tmp_path / "data", "a", "b")
    (tmp_path / "data" / "a" / f"{HOSTILE}.png").write_text("")
    assert study("--data", tmp_path / "data")[0] == 1


def test_array_names(tmp_path: Path, study: Study) -> None:
    np.savez(tmp_path / "data.npz", **{HOSTILE: np.zeros(3)})  # type: ignore[arg-type]  # names of arrays
    assert study("--data", tmp_path / "data.npz")[0] == 1


def test_a_pickled_batch(tmp_path: Path, study: Study) -> None:
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02c" + f"{HOSTILE}\n{HOSTILE}\n".encode() + b".")
    (tmp_path / "test_batch").write_bytes(pickle.dumps({}, protocol=2))
    assert study("--data", tmp_path)[0] == 1


def test_idx_and_binary_files(tmp_path: Path, study: Study) -> None:
    for place, name in enumerate(("train-images-idx3-ubyte", "data_batch_1.bin")):
        folder = tmp_path / f"{place}{HOSTILE}"
        folder.mkdir()
        (folder / name).write_text(HOSTILE)
        assert study("--data", folder)[0] == 1


@pytest.mark.parametrize("option", ["--factory", "--train"])
def test_names_of_own_code(option: str, study: Study) -> None:
    assert study(option, f"{HOSTILE}:net")[0] == 1


NAMED = ("activations", "baseline", "architecture", "optimizer", "schedule", "task", "lr")


@pytest.mark.parametrize("option", [f"--{name}" for name in NAMED])
def test_names_of_options(option: str, study: Study) -> None:
    assert study(option, HOSTILE)[0] == 2
