"""What a model takes in memory, beside what its file takes on the disk."""

import threading
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from serve.engine.footprint import IDENTITY, Footprint, FootprintTask, measure_footprint
from tests.serve import models
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("giving_back")

# Its file holds a number; a run makes eight million of it.
WIDE = """wide (float[N] x) => (float[N, M] y) {
    shape = Constant<value = int64[2] {1, 8388608}>()
    y = Expand(x, shape)
}"""


@pytest.mark.slow
def test_what_runs_take_counts_and_the_file_does_not_say_it(tmp_path: Path) -> None:
    models.put(tmp_path, "wide", models.model(WIDE))
    path = tmp_path / "wide" / "1" / "model.onnx"
    task = FootprintTask("wide", "1", str(path), is_bare=False, limit_bytes=2**30, threads=1)
    taken = measure_footprint(task, 1)
    assert taken is not None
    assert path.stat().st_size < 1000
    assert 32 * 2**20 <= taken < 48 * 2**20
    assert measure_footprint(replace(task, path=str(tmp_path / "none.onnx")), 1) is None


def test_the_first_session_is_of_a_valid_model() -> None:
    onnx.checker.check_model(onnx.load_from_string(IDENTITY))


def test_a_model_is_measured_once_and_nobody_waits_for_it() -> None:
    go, measured = threading.Event(), []

    def measure(task: FootprintTask, rows: int) -> int:
        measured.append(rows)
        go.wait()
        return 7

    footprint = Footprint(FootprintTask("a", "1", "", False, 1, 1), measure)
    assert footprint.find(4) is None
    assert footprint.find(8) is None
    go.set()
    until(lambda: footprint.find(8) == 7)
    assert measured == [4]
