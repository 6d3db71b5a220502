"""The pipeline where the places to round are chosen by loss and time."""

from pathlib import Path

import pytest

from convert.errors import UsageError
from convert.evidence.inspection import read_onnx_file
from convert.evidence.report import render_report
from convert.pipeline import convert
from convert.precision.budgets import BudgetOptions
from convert.precision.front.options import FrontOptions
from convert.tuning.tune import TuningOptions
from tests.convert.models import save_graph
from tests.convert.tuning.machine import PlantedMachine

ANYTHING = BudgetOptions(max_error=1.0, min_agreement=0.0)
FRONT = FrontOptions("fastest", TuningOptions())


@pytest.mark.slow
def test_the_file_holds_its_front_and_an_interrupted_run_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.writing.Target", lambda *given: PlantedMachine([{"Gemm": 0.1}]))
    source, file = save_graph(tmp_path / "source.onnx"), tmp_path / "m.onnx"

    def stop(detail: str) -> None:
        if detail == "file 2 of 11":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, file, precision="int8", budgets=ANYTHING, front=FRONT, on_progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["source.onnx"]
    manifest = convert(source, file, precision="int8", budgets=ANYTHING, front=FRONT)
    assert manifest.rounding is not None
    front = manifest.rounding.front
    assert front is not None
    assert (front.provider, front.batches, front.seconds) == ("cpu", (1,), 60.0)
    assert front.points[0].places == 0
    assert front.points[front.chosen].places == manifest.rounding.places - len(manifest.rounding.kept)
    read = read_onnx_file(file)
    assert read.manifest == manifest
    page = render_report(read)
    assert 'class="ring"' in page
    assert "Places chosen by time and loss: the fastest file that keeps the budgets" in page


def test_a_front_is_for_int8(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`--front` chooses the places that int8 rounds") as exc_info:
        convert(tmp_path / "missing.pt", tmp_path / "m.onnx", precision="fp16", front=FRONT)
    assert exc_info.value.hint == "ask for it: --precision int8"
