"""A model of more than 2 GiB, from its state_dict to the file, and what reads the file again.

It takes some 15 GiB of memory and minutes, so it runs only where it is asked for: `ADAPTACT_LARGE=1 pytest -s
tests/convert/test_large.py`.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from tests.convert.models import make_activation

ROOT = Path(__file__).parents[2]
WIDE = 16384  # two layers of so many numbers, squared, are 2 GiB of float32
FACTORY = ("--factory", "tests.convert.test_large:network", "--input", "x:float32[N,64]")

pytestmark = pytest.mark.skipif(
    "ADAPTACT_LARGE" not in os.environ, reason="takes 15 GiB and minutes; ADAPTACT_LARGE=1 runs it"
)


def network() -> nn.Sequential:
    """[N, 64] -> [N, 8]; a seed of its own, so that it is the same everywhere."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(64, WIDE),
        make_activation("PELU"),
        nn.Linear(WIDE, WIDE),
        make_activation("PELU"),
        nn.Linear(WIDE, WIDE),
        nn.ReLU(),
        nn.Linear(WIDE, 8),
    ).eval()


def _run_command(command: str, *arguments: object) -> dict[str, Any]:
    """What the command prints as JSON; what it took goes to the terminal."""
    code = (
        f"import sys; from convert.commands.{command} import main\n"
        "try:\n    main()\nfinally:\n    print(*open('/proc/self/status'), file=sys.stderr)"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begun
    assert done.returncode == 0, done.stderr[-2000:]
    gibibytes = int(done.stderr.partition("VmHWM:")[2].split()[0]) / 2**20
    sys.stderr.write(f"\n{command}: {seconds:.0f} s, {gibibytes:.1f} GiB")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_model_over_2_gib_goes_through_every_command(tmp_path: Path) -> None:
    source, file = tmp_path / "state.pt", tmp_path / "model.onnx"
    model = network()
    torch.save(model.state_dict(), source)
    assert source.stat().st_size > 2**31
    x = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    del model

    exported = _run_command("export", source, file, *FACTORY)
    assert exported["data"]["bytes"] > 2**31
    assert sorted(os.listdir(tmp_path)) == sorted(["state.pt", "model.onnx", exported["data"]["name"]])
    onnx.checker.check_model(str(file))
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-3, atol=1e-5)
    del session

    assert _run_command("verify", source, file, *FACTORY)["passed"]
    seen = _run_command("inspect", file)
    assert seen["weights"] > 2**29
    assert seen["manifest"]["data"] == exported["data"]

    again = _run_command("export", file, tmp_path / "again.onnx")
    assert again["data"]["sha256"] == exported["data"]["sha256"]
