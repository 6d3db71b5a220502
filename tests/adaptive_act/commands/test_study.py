import json
import re
import sys
from pathlib import Path

import pytest

from adaptive_act.commands.study import main

QUICK = (
    "--train-size",
    "128",
    "--architecture",
    "mlp(width=8)",
    "--epochs",
    "1",
    "--seeds",
    "2",
    "--no-cost",
)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact-study", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_it_studies_reports_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--activations", "PReLU,NEAAF(side=both,gamma=0.05) per channel", "--jobs", "1")
    tuning = ("--lr", "1e-3,3e-3", "--tuning-seeds", "1")
    assert run(monkeypatch, "--output", str(tmp_path), *asked, *tuning, *QUICK) == 0
    out, _ = capsys.readouterr()
    assert "Does it pay?" in out
    assert "report.html" in out
    found = json.loads((tmp_path / "results.json").read_text())
    assert [each["variant"] for each in found["outcomes"]] == [
        "ReLU",
        "PReLU",
        "NEAAF(side=both, gamma=0.05) per channel",
    ]
    assert found["plan"]["training"]["epochs"] == 1
    assert found["plan"]["data"]["train_size"] == 128
    assert found["tuning"][0]["lr"] == 1e-3


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--activations", "NoSuch"), 2, "unknown activation `NoSuch`; plain: "),
        (("--activations", "PRelu"), 2, "unknown activation `PRelu`; did you mean `PReLU`"),
        (("--activations", "ReLU"), 2, "at least one activation"),
        (("--baseline", "PReLU"), 2, "baseline is a plain activation"),
        (("--optimizer", "lbfgs"), 2, "adamw, adam, sgd"),
        (("--architecture", "vgg"), 2, "mlp, cnn, resnet"),
        (("--epochs", "0"), 2, "epochs"),
        (("--lr", "1e-3,fast"), 2, "one rate or several"),
        (("--lr", "1e-3,-1"), 2, "rates above 0"),
        (("--data", "nowhere"), 1, "there is no data at `nowhere`"),
        (("--factory", "nowhere:f"), 1, "nowhere"),
    ],
)
def test_wrong_options_fail_in_one_line(
    arguments: tuple[str, ...],
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "--output", str(tmp_path / "out"), *QUICK, *arguments) == status
    stderr = capsys.readouterr().err
    assert words in re.sub(r"\s+", " ", stderr.replace("│", " "))
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_no_folder_fails_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    assert run(monkeypatch, "--output", str(tmp_path / "out"), *QUICK) == 1
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_own_code_is_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(width):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))\n"
        "def train(model, train, validation, *, lr, on_epoch, **options):\n"
        "    model[1].weight.data.mul_(1 + lr)\n"
    )
    own = ("--factory", "mine:net", "--factory-kwargs", '{"width": 5}', "--train", "mine:train")
    asked = ("--activations", "PReLU", "--lr", "1e-3", "--jobs", "2")  # processes of its own find it too
    assert run(monkeypatch, "--output", "out", *QUICK, *own, *asked) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["outcomes"][0]["runs"][0]["parameters"] == 64 * 5 + 5 + 5 * 10 + 10
    report = (tmp_path / "out" / "report.md").read_text()
    assert "The training loop is the user's own, mine:train." in report
    assert "same batches" not in report
    assert "onecycle" not in report


def test_help_lists_the_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    assert "--robustness" in capsys.readouterr().out
