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

from convert.commands.export import main
from convert.manifest.signature import split_signature
from tests.convert.keys import write_keys
from tests.convert.models import classifier, save_checkpoint

pytestmark = pytest.mark.slow  # all of them look at two exports

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


def _prepare(folder: Path) -> list[str]:
    """The arguments of an export in the folder, where the checkpoint and the key are."""
    folder.mkdir()
    save_checkpoint(folder / "model.pt")
    options = ["--external-data", "always", "--sign", write_keys(folder).private.name]
    return ["model.pt", "model.onnx", *options, "--report", "report.html", "--triton", "config.pbtxt"]


def _export_elsewhere(folder: Path, user: str, seed: int, zone: str) -> "subprocess.Popen[bytes]":
    """Exports the checkpoint as another user, in a folder, time zone and hash order of its own."""
    arguments = _prepare(folder)
    environment = os.environ | {
        "HOME": str(folder / user),
        "USER": user,
        "LOGNAME": user,
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": str(ROOT),
        "TZ": zone,
    }
    return subprocess.Popen(
        [sys.executable, "-c", EXPORT, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    above = tmp_path_factory.mktemp("above")
    folders = (above / "first-secret-place", above / "another-secret-place")
    elsewhere = _export_elsewhere(folders[0], "secretperson", 1, "Asia/Tokyo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["adaptact-export", *_prepare(folders[1])])
        patch.chdir(folders[1])
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code, elsewhere.wait(300)) == (0, 0)
    return folders


def _read_outputs(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in {".pt", ".pem", ".pub"}
    }


def test_the_same_input_gives_the_same_bytes(
    folders: tuple[Path, Path],
) -> None:
    first, second = map(_read_outputs, folders)
    assert sorted(first) == sorted(second)
    assert {Path(name).suffix for name in first} == {".onnx", ".data", ".html", ".pbtxt"}
    assert [name for name in first if first[name] != second[name]] == []


def test_no_file_reveals_its_place_time_or_author(folders: tuple[Path, Path]) -> None:
    words = [
        *("secret", "above0", str(ROOT), sys.prefix, "site-packages"),
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
