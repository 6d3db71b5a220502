import re
from pathlib import Path

import pytest
import typer.main

from adaptive_act.commands.study import app
from adaptive_act.study.architectures import BUILT_IN
from adaptive_act.study.data import load_dataset
from adaptive_act.study.plan import GAMMAS, IMBALANCE, LABEL_NOISE, make_run_spec
from adaptive_act.study.run import run
from adaptive_act.study.specs import Training
from tests.adaptive_act.study.models import ROOT, plan

GUIDE = (ROOT / "docs" / "study.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
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
def test_the_training_loop_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_guide.py").write_text(PYTHON[0])
    monkeypatch.syspath_prepend(tmp_path)
    asked = plan(rates=(0.01,), training=Training(epochs=5, batch=16, loop="own_guide:train"))
    result = run(make_run_spec(asked, load_dataset(asked.data).digest, "PReLU", 0)).result
    assert result.score > 0.5
    assert len(result.curves.training_loss) == 5


@pytest.mark.slow
def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(PYTHON[-1], "study.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()] == ["ReLU", "PReLU", "NEAAF(side=both)"]
    assert Path("build/study/report.html").exists()
