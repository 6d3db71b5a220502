"""The demo, shortened: the same path as `make demo` runs it."""

from pathlib import Path

import pytest

from convert.evidence.inspection import read_onnx_file
from examples.digits.__main__ import main
from tests.examples.running import run


@pytest.mark.slow
def test_it_carries_a_model_from_training_to_predictions(tmp_path: Path) -> None:
    short = ("--epochs", "1", "--fine-tune", "1", "--output", str(tmp_path))
    run(main, "--activation", "NEAAF", *short)
    table = (tmp_path / "table.md").read_text()
    assert "test digits right, of 599" in table
    assert table.count("599 of 599") == 2
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert {"curves.png", "neaaf.pt", "models/neaaf/1/model.onnx", "models/relu/1/model.onnx"} <= files
    manifest = read_onnx_file(tmp_path / "models" / "neaaf" / "1" / "model.onnx").manifest
    assert manifest is not None
    assert {record.kind for record in manifest.activations} == {"NEAAF"}
