"""The guide's code runs, and its options are those of the command."""

import re
from pathlib import Path

from typer.main import get_command

from adaptive_act.explain.cli import app

GUIDE = (Path(__file__).parents[3] / "docs" / "explaining.md").read_text()


def test_every_option_is_documented() -> None:
    options = {
        name for parameter in get_command(app).params for name in parameter.opts if name.startswith("--")
    }
    assert set(re.findall(r"`(--[\w-]+)", GUIDE)) == options - {"--help"}
