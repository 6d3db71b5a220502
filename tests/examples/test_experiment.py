"""The demo of an experiment, shortened: the same path as `make demo-experiment` runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_better_model_is_found_and_promoted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.experiment", "--units", "1500", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "better: adaptive is better than relu" in done.stdout
    assert (tmp_path / "band.png").stat().st_size > 10_000
