"""A file tells nothing of where, when and by whom it was made, and needs nothing but ONNX Runtime to run."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from convert.manifest.signature import split_signature
from tests.convert.keys import write_keys
from tests.convert.models import classifier, save_checkpoint

ROOT = Path(__file__).parents[3]
EXPORT = """
import platform, socket
socket.gethostname = platform.node = lambda: "secrethost"
from convert.commands.export import main
main()
"""
# Without this project or torch, and without ONNX Runtime's own extensions.
PLAIN = """
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(logits,) = session.run(["logits"], {"image": numpy.load(sys.argv[2])})
known = {"onnx", "torch", "convert", "adaptive_act", "serve", "onnxruntime_extensions"} & set(sys.modules)
print(json.dumps([logits.tolist(), sorted(known)]))
"""


def _export(folder: Path, user: str, seed: int, zone: str) -> "subprocess.Popen[bytes]":
    """Exports the same checkpoint as another user, in a folder, time zone and hash order of its own."""
    folder.mkdir()
    save_checkpoint(folder / "model.pt")
    pair = write_keys(folder)
    environment = os.environ | {
        "HOME": str(folder / user),
        "USER": user,
        "LOGNAME": user,
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": str(ROOT),
        "TZ": zone,
    }
    options = ["--external-data", "always", "--sign", pair.private.name]
    command = [sys.executable, "-c", EXPORT, "model.pt", "model.onnx", *options]
    return subprocess.Popen(
        [*command, "--report", "report.html", "--triton", "config.pbtxt"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    above = tmp_path_factory.mktemp("above")
    folders = (above / "first-secret-place", above / "another-secret-place")
    running = [
        _export(folders[0], "secretperson", 1, "Asia/Tokyo"),
        _export(folders[1], "hiddenperson", 2, "America/Lima"),
    ]
    assert [process.wait(300) for process in running] == [0, 0]
    return folders


def _read_outputs(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in {".pt", ".pem", ".pub"}
    }


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(
    folders: tuple[Path, Path],
) -> None:
    first, second = map(_read_outputs, folders)
    assert sorted(first) == sorted(second)
    assert {Path(name).suffix for name in first} == {".onnx", ".data", ".html", ".pbtxt"}
    assert [name for name in first if first[name] != second[name]] == []


def test_no_file_reveals_its_place_time_or_author(folders: tuple[Path, Path]) -> None:
    words = [
        *("secret", "hiddenperson", "above0", str(ROOT), sys.prefix, "site-packages"),
        *("pkg.torch", "stack_trace", time.strftime("%Y-%m-%d"), "1.pem", "PRIVATE", "Tokyo"),
    ]
    for name, content in _read_outputs(folders[0]).items():
        assert [word for word in words if word.encode() in content] == [], name
        numbers = [int(digits) for digits in re.findall(rb"(?=(\d{10}))", content)]
        assert [number for number in numbers if abs(number - time.time()) < 600] == [], name


@pytest.mark.parametrize("signed", [True, False])
def test_plain_onnx_runtime_runs_the_file_unchanged(
    folders: tuple[Path, Path], tmp_path: Path, signed: bool
) -> None:
    for name, content in _read_outputs(folders[0]).items():
        (tmp_path / name).write_bytes(content)
    if not signed:
        file = tmp_path / "model.onnx"
        file.write_bytes(split_signature(file.read_bytes())[0])
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    np.save(tmp_path / "x.npy", x.numpy())
    done = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN, "model.onnx", "x.npy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    logits, known = json.loads(done.stdout)
    assert known == []
    expected = classifier().double()(x.double()).detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
