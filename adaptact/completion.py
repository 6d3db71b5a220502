"""Completion of command lines by a shell; Typer's own, over commands that are imported once one is named."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

VARIABLE = "_ADAPTACT_COMPLETE"


def complete(modules: Mapping[str, tuple[str, str]], own: str | None, instruction: str | None = None) -> None:
    """The shell has what it asks for by its variable, or by `instruction`, such as `source_bash`.

    `modules` gives for each sub-command the module of its application, and a line on what it does. A
    sub-command is imported once the command line names it. `own` is the one whose own program it is, such as
    `adaptact-export`; None for `adaptact`. Ends the process.
    """
    if instruction is not None:
        os.environ[VARIABLE] = instruction

    class Commands(TyperGroup):
        """The sub-commands."""

        def list_commands(self, ctx: Any) -> list[str]:
            return list(modules)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return TyperCommand(cmd_name, help=modules[cmd_name][1]) if cmd_name in modules else None

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if args and args[0] in modules:
                return args[0], _load(modules[args[0]][0]), args[1:]
            return super().resolve_command(ctx, args)

    app = typer.Typer(cls=Commands)
    app.callback()(_top)
    command, program = typer.main.get_command(app), "adaptact"  # which makes Typer know the shells
    if own is not None:
        command, program = _load(modules[own][0]), f"adaptact-{own}"
    command.main(prog_name=program, complete_var=VARIABLE)


def _load(module: str) -> Any:
    return typer.main.get_command(import_module(module).app)


def _top(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None: ...
