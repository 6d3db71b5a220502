"""The smallest of the real models through every step, and the page's cells where a step fails."""

import contextlib
import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from adaptive_act import load
from benchmarks import cells, real_models, real_steps
from benchmarks.processes import EXPORT, FinishedProcess, run
from benchmarks.real_page import make_tables
from benchmarks.real_steps import COMPILED, EAGER, write_checkpoint
from benchmarks.real_subjects import REAL_MODELS
from convert.pipeline import convert


def text_of(shown: list[Table]) -> str:
    console = Console(width=400)
    with console.capture() as capture:
        console.print(*shown)
    return capture.get()


def in_this_process(code: str, *arguments: str) -> FinishedProcess:
    """What the benchmark runs in a process of its own, without the seconds that it takes to start one."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        if code == real_models.STEP:
            real_steps.main(*arguments)
        else:
            assert code == EXPORT
            convert(*map(Path, arguments))
    return FinishedProcess(1.0, 2**20, 0, said.getvalue(), "")


@pytest.mark.slow
def test_the_smallest_model_goes_through_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "BUILD", tmp_path)
    monkeypatch.setattr(real_models, "run", in_this_process)
    monkeypatch.setattr(real_models, "FEWER_COMPILE_SECONDS", 0)
    monkeypatch.setattr(real_models, "FEWER_ROUNDS", 1)
    measured = real_models.measure(["tabular"], quick=True)
    cell = measured["tabular"]
    assert set(cell["to_torch"]) == {"torch", "ours", "again", EAGER}
    assert cell["failed"] == {COMPILED: "not tried"}
    for file in ("ours", "again"):
        assert cell["exports"][file]["error_to_float32"] < 4
        assert cell["exports"][file]["error_of_scale"] < 1e-5
    assert "tabular" in text_of(make_tables(measured))
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize("name", ["tabular", "encoder", "FSRCNN"])
def test_a_checkpoint_holds_the_model_away_from_its_start(name: str, tmp_path: Path) -> None:
    write_checkpoint(name, tmp_path)
    given = load(tmp_path / "model.pt").model.state_dict()
    slopes = [value for key, value in given.items() if value.ndim == 1 and len(value) > 1]
    assert slopes
    assert all(value.unique().numel() > 1 for value in slopes)


def test_every_subject_is_built_from_its_checkpoint() -> None:
    for subject in REAL_MODELS.values():
        assert subject.factory.partition(":")[2] == subject.build.__name__
        assert all(len(spec["shape"]) >= 1 for spec in subject.specs())


def test_a_step_that_failed_is_told_in_its_cell() -> None:
    cell = {
        "milliseconds": {"torch": 1.0, EAGER: 2.0},
        "to_torch": {"torch": 1.0, EAGER: 2.0},
        "failed": {COMPILED: "TimeoutError: not done after 1 s"},
        "exports": {
            "torch": {"seconds": 1.0, "peak_bytes": 10, "file_bytes": 5},
            "ours": {"failed": "error: parity failed"},
            "again": {"failed": "error: refused"},
        },
    }
    text = text_of(make_tables({"some": cell}))
    assert "failed: TimeoutError: not done after 1 s" in text
    assert "failed: error: parity failed" in text
    assert "failed: error: refused" in text


def test_a_process_reports_time_memory_and_failure() -> None:
    fine = run("print('said')").require_success()
    assert fine.stdout == "said\n"
    assert fine.seconds > 0
    assert fine.peak_bytes > 2**20
    wrong = run("import sys; sys.stderr.write('one\\nerror: two\\nthree'); sys.exit(3)")
    assert (wrong.status, wrong.last_line) == (3, "error: two")
    with pytest.raises(SystemExit, match="status 3"):
        wrong.require_success()
