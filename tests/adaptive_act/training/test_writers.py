"""What was written is there, whatever happened to the writer."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from adaptive_act.training import CSVWriter, TensorBoardWriter, Writer

READING = {"features.0": {"value/a": 0.1, "outputs_max": float("nan")}, "head": {"value/b": 1e-30}}


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_a_row_holds_one_value_that_reads_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    writer = CSVWriter(path)
    writer.write(7, READING)
    writer.close()
    header, *values = rows(path)
    assert header == ["step", "layer", "quantity", "value"]
    assert values[0] == ["7", "features.0", "value/a", "0.1"]
    assert [float(row[3]) for row in values[::2]] == [0.1, 1e-30]
    assert values[1][3] == "nan"


def test_a_killed_process_loses_nothing_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    code = f"""
import os, signal
from adaptive_act.training import CSVWriter
writer = CSVWriter({str(path)!r})
for step in range(5):
    writer.write(step, {{"a": {{"value/x": step / 3}}}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    resumed = CSVWriter(path)
    resumed.write(5, {"a": {"value/x": 5 / 3}})
    resumed.close()
    assert [(int(row[0]), float(row[3])) for row in rows(path)[1:]] == [(step, step / 3) for step in range(6)]


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("step,layer,quantity,value\n0,a,value/x,1.0\n1,a,val")
    writer = CSVWriter(path)
    writer.write(1, {"a": {"value/x": 2.0}})
    writer.close()
    assert rows(path)[1:] == [["0", "a", "value/x", "1.0"], ["1", "a", "value/x", "2.0"]]


@pytest.mark.parametrize("content", ["a,b,c\n1,2,3\n", "no newline at all", "step,layer,quantity,value"])
def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match="starts with"):
        CSVWriter(path)
    assert path.read_text() == content


def test_tensorboard_gets_each_value_as_a_scalar(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    for step in (0, 10):
        writer.write(step, {"features.0": {"value/a": step / 4}})
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["features.0/value/a"]
    assert [(e.step, e.value) for e in events.Scalars("features.0/value/a")] == [(0, 0.0), (10, 2.5)]


def test_both_are_writers(tmp_path: Path) -> None:
    made: list[Writer] = [CSVWriter(tmp_path / "a.csv"), TensorBoardWriter(tmp_path)]
    for writer in made:
        assert isinstance(writer, Writer)
        writer.close()
