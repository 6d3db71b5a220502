"""The monitor reads what went through the activations, and nothing else."""

import csv
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)
from torch import nn

from adaptive_act import PELU, PReLU
from adaptive_act.training import CSVWriter, Monitor, TensorBoardWriter, Writer
from tests.adaptive_act.training.runs import backward, batches, network


class Kept:
    """A writer that keeps what it was given."""

    def __init__(self) -> None:
        self.steps: dict[int, Mapping[str, Mapping[str, float]]] = {}
        self.closed = False

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        self.steps[step] = readings

    def close(self) -> None:
        self.closed = True


def test_a_reading_is_what_torch_computes_from_the_tensors() -> None:
    model = nn.Sequential(PReLU(a=0.5))
    x = torch.tensor([[-8.0, -1.0, 2.0, 7.0]])
    with Monitor(model, bound=6.0) as monitor:
        model(x).sum().backward()
        readings = monitor.step()
    y = torch.tensor([-4.0, -0.5, 2.0, 7.0])
    assert readings == {
        "0": {
            "value/a": 0.5,
            "gradient/a": 9.0,
            "inputs_beyond": 0.5,
            "inputs_not_finite": 0.0,
            "outputs_not_finite": 0.0,
            "outputs_rms": pytest.approx(y.square().mean().sqrt().item()),
            "outputs_max": 7.0,
        }
    }


def test_nan_is_counted_and_kept_out_of_the_scale() -> None:
    model = nn.Sequential(PReLU(a=0.5))
    monitor = Monitor(model)
    model(torch.tensor([math.nan, math.inf, -math.inf, 3.0]))
    (reading,) = (monitor.step() or {}).values()
    assert reading["inputs_not_finite"] == reading["outputs_not_finite"] == 3
    assert reading["outputs_rms"] == reading["outputs_max"] == 3.0
    assert reading["inputs_beyond"] == 2 / 4


def test_a_call_without_samples_counts_as_none() -> None:
    model = nn.Sequential(PReLU())
    monitor = Monitor(model)
    model(torch.empty(0, 4))
    (reading,) = (monitor.step() or {}).values()
    assert list(reading) == ["value/a"]


def test_values_per_channel_are_their_span() -> None:
    model = nn.Sequential(PELU(channels=2, a=[1.0, 3.0]))
    (reading,) = (Monitor(model).step() or {}).values()
    span = [reading[f"value/a/{name}"] for name in ("min", "mean", "max")]
    assert span == pytest.approx([1.0, 2.0, 3.0])


def test_it_writes_readings_every_few_steps() -> None:
    model, writer = network(), Kept()
    with Monitor(model, [writer], every=3) as monitor:
        read = []
        for x, y in batches(7):
            backward(model, x, y)
            read.append(monitor.step() is not None)
    assert read == [True, False, False, True, False, False, True]
    assert list(writer.steps) == [0, 3, 6]
    assert set(writer.steps[6]) == {"2", "4"}
    assert writer.closed
    assert not model[2]._forward_hooks


def test_it_reads_all_parts_of_an_accumulated_step() -> None:
    model = nn.Sequential(PReLU())
    monitor = Monitor(model, bound=1.0)
    model(torch.tensor([5.0, 0.0]))
    model(torch.tensor([5.0, 5.0]))
    model.eval()
    model(torch.tensor([0.0] * 100))
    (reading,) = (monitor.step() or {}).values()
    assert reading["inputs_beyond"] == 3 / 4


def test_a_shared_activation_is_one_layer() -> None:
    shared = PReLU()
    model = nn.Sequential(shared, shared)
    monitor = Monitor(model)
    model(torch.ones(1))
    assert set(monitor.step() or {}) == {"0"}


def test_it_changes_nothing_that_training_computes() -> None:
    watched, plain = network(), network()
    with Monitor(watched, every=1) as monitor, torch.autocast("cpu", torch.bfloat16):
        for x, y in batches(3):
            assert torch.equal(backward(watched, x, y), backward(plain, x, y))
            monitor.step()
    for p, q in zip(watched.parameters(), plain.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert torch.equal(p.grad, q.grad)


def test_a_resumed_monitor_goes_on_counting() -> None:
    model = network()
    monitor, writer = Monitor(model, every=2), Kept()
    monitor.step()
    resumed = Monitor(model, [writer], every=2)
    resumed.load_state_dict(monitor.state_dict())
    for _ in range(2):
        resumed.step()
    assert list(writer.steps) == [2]


def test_reading_less_often_than_never_is_refused() -> None:
    with pytest.raises(ValueError, match="every of at least 1 step, got 0"):
        Monitor(network(), every=0)


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


@pytest.mark.slow
def test_a_killed_process_loses_no_readings(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("content", ["", "step,la", "step,layer,quantity,value"])
def test_a_torn_header_is_written_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.csv"
    path.write_text(content)
    CSVWriter(path).close()
    assert path.read_text() == "step,layer,quantity,value\n"


@pytest.mark.parametrize("content", ["a,b,c\n1,2,3\n", "no newline at all", "step,layer,quantity,values"])
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
