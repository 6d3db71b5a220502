"""How learned values drift."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from adaptive_act import PWLU, DYReLU, PReLU, named_activations
from adaptive_act.errors import ExplainError
from adaptive_act.explain import Drift, drift_figure, read_tracks
from adaptive_act.explain.drift import MOST_RECORDS
from adaptive_act.training.monitor import CSVWriter, Monitor
from tests.adaptive_act.explain.models import data, learned


def drifting(steps: int, channels: int | None = None) -> Drift:
    model = nn.Sequential(PReLU(channels))
    drift = Drift(model)
    for step in range(steps):
        with torch.no_grad():
            model.get_parameter("0.a").fill_(step / 10)
        drift.record(10 * step)
    return drift


def test_values_are_recorded_at_each_step() -> None:
    (track,) = drifting(4, channels=2).tracks
    assert (track.layer, track.kind, track.steps) == ("0", "PReLU", [0, 10, 20, 30])
    expected = np.array([[0.0, 0.0], [0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    np.testing.assert_allclose(np.asarray(track.values["a"]), expected, atol=1e-7)


def test_memory_does_not_grow_with_the_training() -> None:
    (track,) = drifting(5 * MOST_RECORDS).tracks
    assert len(track.steps) <= MOST_RECORDS
    assert len(set(np.diff(track.steps))) == 1
    assert track.steps[0] == 0
    assert track.steps[-1] >= 10 * (5 * MOST_RECORDS - 8)


def test_the_line_is_the_median_and_the_band_the_range() -> None:
    model = nn.Sequential(PReLU(3, a=[0.0, 0.1, 0.9]))
    drift = Drift(model)
    drift.record(0)
    drift.record(1)
    (panel,) = drift_figure(drift.tracks).axes
    assert np.asarray(panel.lines[-1].get_ydata()) == pytest.approx([0.1, 0.1])
    (band,) = panel.collections
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0, 0.9))
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("training step", "learned value")


def test_many_parameters_are_drawn_as_one_distance() -> None:
    model = nn.Sequential(PWLU())
    drift = Drift(model)
    drift.record(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    drift.record(1)
    (panel,) = drift_figure(drift.tracks).axes
    assert np.asarray(panel.lines[-1].get_ydata()) == pytest.approx([0, 0.5])
    assert "RMS change of" in panel.get_ylabel()


def test_nothing_to_draw_is_drawn_as_such() -> None:
    drift = Drift(nn.Sequential(DYReLU(channels=4)))
    drift.record(0)
    (panel,) = drift_figure(drift.tracks).axes
    assert panel.get_title() == "it learns no value of its own"
    assert Drift(nn.Sequential(PReLU())).tracks[0].values == {}


def test_a_monitors_file_gives_the_same_tracks(tmp_path: Path) -> None:
    path, model = tmp_path / "monitor.csv", learned(per_channel=True)
    drift = Drift(model)
    with Monitor(model, [CSVWriter(path)], every=1) as monitor:
        for step in range(3):
            model(data(4)[0]).sum().backward()
            drift.record(step)
            monitor.step()
            with torch.no_grad():
                for activation in named_activations(model).values():
                    for parameter in activation.parameters():
                        parameter.add_(0.1)
    for read, recorded in zip(read_tracks(path), drift.tracks, strict=True):
        assert (read.layer, list(read.steps)) == (recorded.layer, list(recorded.steps))
        for name, values in recorded.values.items():
            assert read.values[name].min(1) == pytest.approx(values.min(1), rel=1e-5)
            assert read.values[name].max(1) == pytest.approx(values.max(1), rel=1e-5)
            assert np.median(read.values[name], axis=1) == pytest.approx(values.mean(1), rel=1e-5, abs=1e-6)


def test_the_last_line_of_a_step_counts(tmp_path: Path) -> None:
    path = tmp_path / "monitor.csv"
    lines = [
        "step,layer,quantity,value",
        "0,1,value/a,0.1",
        "5,1,value/a,0.2",
        "5,1,value/a,0.3",
        "5,1,inputs_beyond,0",
    ]
    path.write_text("\n".join(lines))
    (track,) = read_tracks(path)
    assert (list(track.steps), track.values["a"].tolist()) == ([0, 5], [[0.1], [0.3]])


BROKEN = {
    "other columns": "a,b\n1,2\n",
    "a word for a number": "step,layer,quantity,value\n0,1,value/a,x\n",
    "a cut line": "step,layer,quantity,value\n0,1,value/a\n",
    "no text": "\udcff\udcfe",
}


@pytest.mark.parametrize("case", BROKEN)
def test_another_file_is_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "monitor.csv"
    path.write_bytes(BROKEN[case].encode("utf-8", "surrogateescape"))
    with pytest.raises(ExplainError, match=r"expected a monitor's CSV file"):
        read_tracks(path)


def test_a_file_without_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "monitor.csv"
    path.write_text("step,layer,quantity,value\n0,1,inputs_beyond,0\n")
    with pytest.raises(ExplainError, match="holds no learned value"):
        read_tracks(path)


@pytest.mark.parametrize(
    "lines",
    ["0,a,value/x,1\n1,a,value/y,2\n", "0,a,value/x,1\n1,a,value/x/min,2\n1,a,value/x/max,3\n"],
    ids=["other parameters", "other channels"],
)
def test_a_file_of_two_models_is_refused(lines: str, tmp_path: Path) -> None:
    (tmp_path / "run.csv").write_text(f"step,layer,quantity,value\n{lines}")
    with pytest.raises(ExplainError, match="as of two models; give each run a file of its own"):
        read_tracks(tmp_path / "run.csv")


def test_a_torn_step_is_left_out(tmp_path: Path) -> None:
    lines = [f"{step},a,value/x/{part},{step}" for step in (0, 1) for part in ("min", "max")]
    (tmp_path / "run.csv").write_text("\n".join(["step,layer,quantity,value", *lines[:3]]))
    (track,) = read_tracks(tmp_path / "run.csv")
    assert track.steps == [0]
