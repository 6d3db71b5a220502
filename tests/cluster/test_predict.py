"""`adaptact predict --cluster`: one answer a row, bit for bit, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cluster.nodes import Nodes
from tests.serve import models
from tests.waiting import until

ROWS = 24_000
GIVEN = np.random.default_rng(3).normal(size=(ROWS, 3)).astype(np.float32)
SHARDS = 48
# Many small shards, so that there is a middle to kill something in.
COMMAND = """
from serve.client.batch.offline import shards
from serve.client.batch.command import main
shards.SHARD_ROWS = 512
main()
"""


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """The words for a model that takes some time, and rows to answer."""
    text = models.LOOP.format(turns=20_000).replace("float[N]", "float[N, 3]")
    model = models.put(tmp_path / "models", "slow", models.model(text))
    lines = ["x[0],x[1],x[2]", *(",".join(map(str, row)) for row in GIVEN)]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    return [str(model), str(tmp_path / "in.csv")]


def start(*words: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", COMMAND, *map(str, words), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> dict[str, object]:
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    summary: dict[str, object] = json.loads(out)
    return summary


def wait_for_answers(process: "subprocess.Popen[str]", target: Path, shards: int) -> None:
    """Until the journal has so many shards, of more than 6 KB each."""
    partial = target.with_name(f"{target.name}.partial")

    def has_answers() -> bool:
        assert process.poll() is None, process.communicate()
        return partial.exists() and partial.stat().st_size > 6_000 * shards

    until(has_answers, 600)


@pytest.fixture
def expected(inputs: list[str], tmp_path: Path) -> bytes:
    """The result file of a run on this machine alone."""
    finish(start(*inputs, "-o", tmp_path / "here.npz"))
    return (tmp_path / "here.npz").read_bytes()


def test_a_node_and_a_worker_that_are_killed_change_nothing(
    nodes: Nodes, inputs: list[str], expected: bytes, tmp_path: Path
) -> None:
    lost, _ = nodes.add(), nodes.add()
    process = start(*inputs, "-o", tmp_path / "out.npz", "--cluster", nodes.address)
    wait_for_answers(process, tmp_path / "out.npz", 8)
    nodes.kill(lost)
    wait_for_answers(process, tmp_path / "out.npz", 16)
    until(nodes.find_workers, 60)
    os.kill(nodes.find_workers()[0].pid, signal.SIGKILL)
    assert finish(process)["rows"] == ROWS
    assert (tmp_path / "out.npz").read_bytes() == expected


@pytest.mark.parametrize("go_on", ["there", "here"])
def test_a_command_that_is_killed_goes_on(
    nodes: Nodes, inputs: list[str], expected: bytes, tmp_path: Path, go_on: str
) -> None:
    words = [*inputs, "-o", tmp_path / "out.npz"]
    process = start(*words, "--cluster", nodes.address)
    wait_for_answers(process, tmp_path / "out.npz", 8)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = finish(start(*words, *(("--cluster", nodes.address) if go_on == "there" else ())))
    kept = again["kept"]
    assert isinstance(kept, int)
    assert 8 * 512 <= kept < ROWS
    assert (tmp_path / "out.npz").read_bytes() == expected


def test_a_command_that_is_interrupted_says_how_to_go_on(
    nodes: Nodes, inputs: list[str], tmp_path: Path
) -> None:
    words = [*inputs, "-o", tmp_path / "out.npz", "--cluster", nodes.address]
    process = start(*words)
    wait_for_answers(process, tmp_path / "out.npz", 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the same command goes on with the answers that are kept" in err


@pytest.mark.parametrize("change", [lambda path: path.write_text("x[0],x[1],x[2]\n1,2,nonsense\n")])
def test_an_error_of_a_row_is_that_of_one_machine(
    nodes: Nodes, inputs: list[str], tmp_path: Path, change: Callable[[Path], object]
) -> None:
    change(tmp_path / "in.csv")
    words = [*inputs, "-o", tmp_path / "out.npz"]
    errors = []
    for more in ((), ("--cluster", nodes.address)):
        process = start(*words, *more)
        errors.append(process.communicate(timeout=300)[1])
        assert process.returncode == 2
    assert errors[0] == errors[1]
    assert "row 1, column `x[2]` holds no `FP32`" in " ".join(errors[0].split())
