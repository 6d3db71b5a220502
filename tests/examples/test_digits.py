"""The demo, shortened: the same path in the same process as `make demo` runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from convert.evidence.inspection import read_onnx_file

ROOT = Path(__file__).parents[2]


def demo(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "examples.digits",
        "--epochs",
        "1",
        "--fine-tune",
        "1",
        "--output",
        str(output),
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.slow
def test_it_carries_a_model_from_training_to_predictions(tmp_path: Path) -> None:
    done = demo(tmp_path, "--activation", "NEAAF")
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "table.md").read_text()
    assert "test digits right, of 599" in table
    assert table.count("599 of 599") == 2
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert {"curves.png", "neaaf.pt", "models/neaaf/1/model.onnx", "models/relu/1/model.onnx"} <= files
    manifest = read_onnx_file(tmp_path / "models" / "neaaf" / "1" / "model.onnx").manifest
    assert manifest is not None
    assert {record.kind for record in manifest.activations} == {"NEAAF"}
