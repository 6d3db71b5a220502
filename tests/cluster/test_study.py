"""`adaptact study --cluster`: the numbers of one machine, though a node is killed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cluster.nodes import Nodes
from tests.waiting import until

NETWORK = """
from torch import nn

from own_width import WIDTH


def make(features, classes):
    return nn.Sequential(nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, classes))
"""
RUNS = 4 * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with data and a network, whose package imports from itself."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=(x.sum(1) > 0).astype(np.int64))
    package = tmp_path / "own"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "network.py").write_text(NETWORK.replace("own_width", "own.width"))
    (package / "width.py").write_text("WIDTH = 16\n")
    return tmp_path


def start(folder: Path, output: str, *more: str) -> "subprocess.Popen[str]":
    words = ["--data", "data.npz", "--factory", "own.network:make"]
    words += ["--factory-kwargs", '{"features": 8, "classes": 2}', "--activations", "PReLU", "--lr", "1e-2"]
    words += ["--seeds", "4", "--epochs", "60", "--no-cost", "--output", output, "--json", *more]
    code = "from adaptive_act.commands.study import main; main()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> None:
    _, err = process.communicate(timeout=900)
    assert process.returncode == 0, err


def read(folder: Path) -> Any:
    """The results, but for where the data lie."""
    text = (folder / "results.json").read_text().replace(f'"{folder.parent}/', '"')
    return json.loads(text)


def test_a_node_that_is_killed_changes_no_number(nodes: Nodes, folder: Path) -> None:
    finish(start(folder, "here", "--jobs", "1"))
    lost = nodes.add()
    process = start(folder, "there", "--cluster", nodes.address)

    def has_run() -> bool:
        assert process.poll() is None, process.communicate()
        return any((folder / "there" / "runs").glob("*.json"))

    until(has_run, 600)
    nodes.kill(lost)
    finish(process)
    assert read(folder / "here") == read(folder / "there")
    models = [
        {path.name: path.read_bytes() for path in (folder / name / "runs").glob("*.pt")}
        for name in ("here", "there")
    ]
    assert len(models[0]) == RUNS
    assert models[0] == models[1]
    finish(start(folder, "there", "--cluster", nodes.address))
