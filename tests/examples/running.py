"""An example's command in the tests' own process, which need not import torch again."""

import traceback
from collections.abc import Callable

import typer
from typer.testing import CliRunner

from adaptive_act.study.parallel import use_one_thread


def run(main: Callable[..., None], *arguments: str) -> str:
    """What the command prints; it has to end with 0."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    with use_one_thread():  # as the examples do themselves, for good
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output + "".join(traceback.format_exception(done.exception))
    return done.output
