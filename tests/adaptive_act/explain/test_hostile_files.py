"""`adaptact-inspect` prints no raw terminal escape of any file that it reads."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adaptive_act import save
from adaptive_act.explain.cli import main
from tests.adaptive_act.explain.models import INPUTS, build, data, learned

HOSTILE = "\x1b]0;x\x07"
CLASSES = ["left", "middle", "right"]

Change = Callable[[dict[str, Any]], None]


def set_replaced(content: dict[str, Any]) -> None:
    content["swap"][0]["replaced"] = HOSTILE


def set_activation(content: dict[str, Any]) -> None:
    content["swap"][0]["activation"] = HOSTILE


def set_layer(content: dict[str, Any]) -> None:
    content["swap"][0]["layer"] = HOSTILE


def set_classes(content: dict[str, Any]) -> None:
    content["classes"] = [HOSTILE, f"${HOSTILE}", f"a$\\b{HOSTILE}$"]


def set_input(content: dict[str, Any]) -> None:
    content["inputs"][0]["name"] = HOSTILE


def set_dtype(content: dict[str, Any]) -> None:
    content["inputs"][0]["dtype"] = HOSTILE


def set_tensor(content: dict[str, Any]) -> None:
    content["state_dict"][HOSTILE] = torch.zeros(1)


def set_field(name: str) -> Change:
    return lambda content: content.update({name: HOSTILE})


FINE = {"replaced": set_replaced, "classes": set_classes}
REFUSED = {
    "activation": set_activation,
    "layer": set_layer,
    "input": set_input,
    "dtype": set_dtype,
    "tensor": set_tensor,
    "format": set_field("format"),
    "factory": set_field("factory"),
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save(learned(), tmp_path / "m.pt", factory=build, inputs=INPUTS, classes=CLASSES)
    return tmp_path / "m.pt"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    x, labels = data(60)
    np.savez(tmp_path / "data.npz", x=x.numpy(), labels=labels.numpy())
    return tmp_path / "data.npz"


@pytest.fixture
def inspect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["adaptact-inspect", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = "".join(capsys.readouterr())
        assert printed
        assert "\x1b" not in printed
        assert "\x07" not in printed
        return int(ended.value.code or 0), printed

    return run


Inspect = Callable[..., tuple[int, str]]


def change_file(path: Path, change: Change) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize("field", FINE)
def test_checkpoint_field(
    field: str, flags: tuple[str, ...], checkpoint: Path, samples: Path, tmp_path: Path, inspect: Inspect
) -> None:
    change_file(checkpoint, FINE[field])
    status, _ = inspect(checkpoint, "--data", samples, "--output", tmp_path / "out", *flags)
    assert status == 0


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize("field", REFUSED)
def test_checkpoint_field_in_an_error(
    field: str, flags: tuple[str, ...], checkpoint: Path, samples: Path, inspect: Inspect
) -> None:
    change_file(checkpoint, REFUSED[field])
    status, printed = inspect(checkpoint, "--data", samples, *flags)
    assert status == 1
    assert "]0;x" in printed


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["table", "json"])
def test_array_names(flags: tuple[str, ...], checkpoint: Path, tmp_path: Path, inspect: Inspect) -> None:
    np.savez(tmp_path / "other.npz", **{HOSTILE: np.zeros(3)})  # type: ignore[arg-type]  # names of arrays
    status, printed = inspect(checkpoint, "--data", tmp_path / "other.npz", *flags)
    assert status == 1
    assert "]0;x" in printed


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["table", "json"])
def test_monitor_file(flags: tuple[str, ...], checkpoint: Path, tmp_path: Path, inspect: Inspect) -> None:
    monitor = tmp_path / "monitor.csv"
    names = (HOSTILE, f"$\\{HOSTILE}$")
    lines = [f"{step},{name},value/{name},0.5" for step in (0, 1) for name in names]
    monitor.write_text("\n".join(["step,layer,quantity,value", *lines]))
    status, _ = inspect(checkpoint, "--monitor", monitor, "--output", tmp_path / "out", *flags)
    assert status == 0


@pytest.mark.parametrize("content", [HOSTILE, f"step,layer,quantity,value\n{HOSTILE},1,value/a,2\n"])
def test_monitor_file_in_an_error(content: str, checkpoint: Path, tmp_path: Path, inspect: Inspect) -> None:
    (tmp_path / "monitor.csv").write_text(content)
    status, _ = inspect(checkpoint, "--monitor", tmp_path / "monitor.csv")
    assert status == 1


def test_file_names(checkpoint: Path, tmp_path: Path, inspect: Inspect) -> None:
    named = checkpoint.rename(tmp_path / f"{HOSTILE}.pt")
    assert inspect(named, "--output", tmp_path / HOSTILE)[0] == 0
    named.write_bytes(b"")
    status, printed = inspect(named)
    assert status == 1
    assert "]0;x" in printed
