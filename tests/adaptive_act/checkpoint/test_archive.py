"""Archives: nothing in them runs, nothing is half-written."""

import ast
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from adaptive_act import CheckpointError
from adaptive_act.checkpoint.archive import read_archive, write_archive

PACKAGES = ("adaptive_act", "convert", "serve")


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.flag}",)


def _zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _scripted(path: Path) -> None:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        torch.jit.save(torch.jit.script(nn.ReLU()), path)


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("hello"), "is not a torch archive"),
    "empty": (lambda path: path.write_bytes(b""), "is not a torch archive"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "is a bare pickle"),
    "zip": (lambda path: _zip(path, {"a/readme": b""}), "not one of torch.save"),
    "torchscript": (_scripted, "is a TorchScript archive"),
    "bomb": (
        lambda path: _zip(path, {"a/data.pkl": b"\0" * 10**6}, zipfile.ZIP_DEFLATED),
        "unpack to more than it holds",
    ),
    # With torch's reason, and without its advice to load the file unsafely.
    "garbage": (
        lambda path: _zip(path, {"a/data.pkl": b"nonsense", "a/version": b"3"}),
        "is damaged: Unsupported operand",
    ),
    "module": (lambda path: torch.save(nn.Linear(2, 2), path), "torch.nn.modules.linear.Linear"),
    "folder": (lambda path: path.mkdir(), "it is a folder"),
    "missing": (lambda path: None, "no file"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_named_for_what_it_is(kind: str, tmp_path: Path) -> None:
    make, message = FOREIGN[kind]
    make(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=message):
        read_archive(tmp_path / "model.pt")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_named(share: float, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    write_archive({"weight": torch.zeros(100)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="truncated"):
        read_archive(path)


def test_no_code_from_the_file_runs(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "flag")}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="whose loading would run code"):
        read_archive(tmp_path / "model.pt")
    assert not (tmp_path / "flag").exists()


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    write_archive({"version": 1}, path)
    with pytest.raises(TypeError, match="cannot pickle"):
        write_archive({"version": (i for i in range(2))}, path)
    assert read_archive(path) == {"version": 1}
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.slow
def test_torch_load_is_called_in_two_places() -> None:
    root = Path(__file__).parents[3]
    found: dict[str, list[str]] = {}
    for path in (path for package in PACKAGES for path in (root / package).rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        loads = [ast.unparse(call) for call in calls if ast.unparse(call.func) == "torch.load"]
        found |= {path.name: loads} if loads else {}
    assert found == {
        "archive.py": ["torch.load(path, map_location='cpu', weights_only=True)"],
        "state.py": ["torch.load(path, map_location='cpu', weights_only=False)"],  # with --allow-pickle
    }


def test_a_damaged_table_of_contents_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"a": torch.zeros(3)}, path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 8 : entry + 10] = b"\x00\x08"  # the name is UTF-8, it says
    content[entry + 46 : entry + 48] = b"\xff\xfe"  # and is none
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_archive(path)
