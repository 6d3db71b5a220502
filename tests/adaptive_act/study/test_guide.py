import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from adaptive_act.study.architectures import BUILT_IN
from adaptive_act.study.cli import app
from adaptive_act.study.plan import GAMMAS, IMBALANCE, LABEL_NOISE
from tests.adaptive_act.study.models import ROOT

GUIDE = (ROOT / "docs" / "study.md").read_text()
OPTIONS = [option for each in typer.main.get_command(app).params for option in each.opts]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_explained(option: str) -> None:
    assert option in GUIDE or option.replace("--cost", "--no-cost") in GUIDE


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_network_is_named(name: str) -> None:
    assert f"`{name}`" in GUIDE


def test_the_levels_are_those_of_the_plan() -> None:
    assert len(GAMMAS) == 8
    assert f"γ of its cubic term from 0 to {max(GAMMAS):g}" in GUIDE
    assert ", ".join(f"{100 * share:g}" for share in LABEL_NOISE) + " %" in GUIDE
    assert ", ".join(f"{ratio:g}" for ratio in IMBALANCE) + " times fewer" in GUIDE


@pytest.mark.slow
def test_the_python_example_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ReLU", "PReLU", "NEAAF(side=both)"]
    assert (tmp_path / "build" / "study" / "report.html").exists()
