"""`adaptact`: every command under one name, imported once it is named.

Standard library only: `adaptact --help` answers whatever is installed.
"""

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Never

from adaptact import __version__
from adaptact.errors import OutputError
from adaptact.exit_codes import FAILED, WRONG_USE
from adaptact.output import print_lines
from adaptact.text import escape_line


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command: what runs it, the extra that installs its dependencies, and what it does."""

    target: str  # module:function, as `adaptact-<name>` names it in pyproject.toml
    extra: str
    summary: str


COMMANDS = {
    "export": Command(
        "convert.commands.export:main",
        "convert",
        "Write a trained model as an ONNX file, with proof of parity.",
    ),
    "verify": Command(
        "convert.commands.verify:main",
        "convert",
        "Check an ONNX file against its model, and check its signature.",
    ),
    "inspect": Command(
        "convert.commands.inspect:main",
        "convert",
        "Show what activations have learned, or what an ONNX file holds.",
    ),
    "study": Command(
        "adaptive_act.study.cli:main",
        "study",
        "Train activations and a baseline, and report whether the activations pay.",
    ),
    "serve": Command("serve.cli:main", "serve", "Serve a folder of ONNX models over HTTP and gRPC."),
    "predict": Command(
        "serve.client.batch.command:main",
        "client",
        "Send every row of a file to a server, and save its predictions.",
    ),
    "experiment": Command(
        "serve.client.experiments.command:main",
        "experiments",
        "Compare models on live traffic, and report which one is better.",
    ),
    "key": Command(
        "serve.access.command:main", "serve", "Create an API key, and add it to a server's keys file."
    ),
}

_PACKAGES = ("adaptact", "adaptive_act", "convert", "serve")


def main() -> None:
    """Run the command that the first argument names; end the process with 2 if there is no such command."""
    name, *arguments = sys.argv[1:] or [""]
    if name == "--help":
        _print(*_help())
    elif name == "--version":
        _print(f"adaptact {__version__}")
    elif name in COMMANDS:
        _run(name, arguments)
    elif not name:
        sys.stderr.write("\n".join([*_help(), ""]))
        sys.exit(WRONG_USE)
    else:
        _fail(f"unknown command `{name}`", f"expected one of {', '.join(COMMANDS)}", WRONG_USE)


def _run(name: str, arguments: list[str]) -> None:
    command = COMMANDS[name]
    sys.argv = [f"adaptact {name}", *arguments]  # its first word is the name that the command's usage shows
    module, function = command.target.split(":")
    try:
        getattr(import_module(module), function)()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in _PACKAGES:
            raise
        _fail(
            f"`adaptact {name}` needs `{error.name}`, which is not installed",
            f"pip install 'adaptact[{command.extra}]'",
            FAILED,
        )


def _print(*lines: str) -> None:
    try:
        print_lines(*lines)
    except OutputError as error:
        _fail(str(error), error.hint, FAILED)


def _help() -> list[str]:
    width = max(map(len, COMMANDS))
    return [
        "Usage: adaptact COMMAND [OPTIONS]",
        "",
        "Activations that learn their shape, from PyTorch to an in-house server.",
        "",
        "Commands:",
        *(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()),
        "",
        "`adaptact COMMAND --help` lists the options of a command; `adaptact --version` prints the version.",
    ]


def _fail(message: str, hint: str | None, status: int) -> Never:
    sys.stderr.write(f"error: {escape_line(message)}\n")
    if hint:
        sys.stderr.write(f"hint: {escape_line(hint)}\n")
    sys.exit(status)
