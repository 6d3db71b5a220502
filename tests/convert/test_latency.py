import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.parser import parse_model

from convert.errors import SourceError
from convert.latency import measure_latency, take_turns

SMALL, LARGE = 4, 1000


def write_product(path: Path, size: int, dtype: str = "float") -> Path:
    """The product of the transposed input [n, size] with itself, [size, size]."""
    model = parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> g ({dtype}[N, {size}] x) => ({dtype}[{size}, {size}] y) '
        "{ t = Transpose <perm = [1, 0]> (x) y = MatMul(t, x) }"
    )
    onnx.save(model, path)
    return path


def test_the_heavier_file_takes_longer(tmp_path: Path) -> None:
    files = {
        "small": write_product(tmp_path / "a.onnx", SMALL),
        "large": write_product(tmp_path / "b.onnx", LARGE),
    }
    files["again"] = write_product(tmp_path / "c.onnx", LARGE)
    turns = take_turns(files, None, 5, lambda _: None)
    assert {name: len(times) for name, times in turns.items()} == {"small": 5, "large": 5, "again": 5}
    assert np.median(turns["large"]) > 2 * np.median(turns["small"]) > 0
    ratio = np.median(np.array(turns["again"]) / np.array(turns["large"]))
    assert 0.1 < ratio < 10


def test_progress_is_called_for_every_round(tmp_path: Path) -> None:
    calls: list[int] = []
    feed = {"x": np.zeros((2, SMALL), np.float32)}
    result = measure_latency({"one": write_product(tmp_path / "a.onnx", SMALL)}, feed, 3, calls.append)
    assert calls == [1, 1, 1]
    assert result["one"] > 0


def test_a_file_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("no graph")
    with pytest.raises(SourceError, match=r"a\.onnx"):
        take_turns({"a": tmp_path / "a.onnx"}, None, 1, lambda _: None)


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "convert.latency", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_prints_each_turn_as_json(tmp_path: Path) -> None:
    paths = [str(write_product(tmp_path / name, SMALL)) for name in ("a.onnx", "b.onnx")]
    done = run_command(*paths, "--rounds", "3", "--json")
    assert done.returncode == 0, done.stderr
    turns = json.loads(done.stdout)["microseconds"]
    assert list(turns) == paths
    assert all(len(times) == 3 and min(times) > 0 for times in turns.values())


def test_the_command_shows_a_table_for_people(tmp_path: Path) -> None:
    done = run_command(str(write_product(tmp_path / "a.onnx", SMALL, "int64")), "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "1.00" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("names", "status"), [(("none.onnx",), 1), (("a.onnx", "a.onnx"), 2), ((), 2)])
def test_the_command_fails_in_one_line(names: tuple[str, ...], status: int, tmp_path: Path) -> None:
    write_product(tmp_path / "a.onnx", SMALL)
    done = run_command(*(str(tmp_path / name) for name in names))
    assert done.returncode == status
    assert "Traceback" not in done.stderr
