"""A command in the tests' own process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


Command = Callable[..., Ended]


def make_command(
    name: str, main: Callable[[], None], patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `main` as the command of this name, with the arguments and variables that it is given."""

    def run(*arguments: object, **environment: str) -> Ended:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run
