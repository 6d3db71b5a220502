"""The guide's code runs, and its options are those of the command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from adaptive_act.explain.cli import app

GUIDE = (Path(__file__).parents[3] / "docs" / "explaining.md").read_text()


@pytest.mark.slow
def test_the_blocks_run_one_after_another(tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"curves.png", "decisions.png", "drift.png", "report.html"}


def test_every_option_is_documented() -> None:
    options = {
        name for parameter in get_command(app).params for name in parameter.opts if name.startswith("--")
    }
    assert set(re.findall(r"`(--[\w-]+)", GUIDE)) == options - {"--help"}
