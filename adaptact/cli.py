"""`adaptact`: every command under one name, imported once it is named.

Standard library only: `adaptact --help` answers whatever is installed. `adaptact-export` and the other
commands of their own are this one under another name.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Never

from adaptact import __version__
from adaptact.errors import ClosedPipeError, OutputError
from adaptact.exit_codes import CLOSED_PIPE, FAILED, WRONG_USE
from adaptact.installation import install_line
from adaptact.output import print_lines
from adaptact.suggestions import suggest
from adaptact.text import escape_line, first_line


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command: what runs it, the extra that installs its dependencies, and what it does."""

    target: str  # module:function; the module's Typer application is its `app`
    extra: str
    summary: str


COMMANDS = {
    "swap": Command(
        "adaptive_act.commands.swap:main",
        "train",
        "Replace a model's activations by ones that learn their shape.",
    ),
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
    "describe": Command(
        "convert.commands.describe:main",
        "serve",
        "Show, and add, what a file says of its classes, images and texts.",
    ),
    "dossier": Command(
        "convert.commands.dossier:main",
        "convert",
        "Join what is known of a model into one document for an auditor.",
    ),
    "study": Command(
        "adaptive_act.commands.study:main",
        "study",
        "Train activations and a baseline, and say whether the activations pay.",
    ),
    "serve": Command("serve.cli:main", "serve", "Serve a folder of ONNX models over HTTP and gRPC."),
    "cluster": Command(
        "serve.cluster.command:main",
        "cluster",
        "Show, update and stop the replicas of `serve --cluster`.",
    ),
    "predict": Command(
        "serve.client.batch.command:main",
        "client",
        "Predict every row of a file, by a server or by a model's file.",
    ),
    "experiment": Command(
        "serve.client.experiments.command:main",
        "experiments",
        "Compare models on live traffic, and report which one is better.",
    ),
    "key": Command(
        "serve.access.command:main", "serve", "Create an API key, and add it to a server's keys file."
    ),
    "doctor": Command(
        "adaptact.doctor.command:main", "", "Say what is installed, what is missing, and what works here."
    ),
}

_PACKAGES = ("adaptact", "adaptive_act", "convert", "serve")
_OPTIONS = ("--help", "--version", "--show-completion")
_SHELLS = ("bash", "zsh", "fish")


def main() -> None:
    """Run the command that the program's name or the first argument names.

    Ends the process with 2 where there is no such command, and with 1 where its packages are missing.
    """
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    name = program.partition("-")[2]
    own = name if name in COMMANDS else None
    if "_ADAPTACT_COMPLETE" in os.environ:
        _complete(own)
    elif arguments[:1] == ["--show-completion"]:
        _show_completion(own, *arguments[1:2])
    elif own is not None:
        _run(own, program, arguments)
    else:
        _dispatch(*(arguments or [""]))


def _dispatch(name: str, *arguments: str) -> None:
    if name in COMMANDS:
        _run(name, f"adaptact {name}", arguments)
    elif name in ("--help", "-h", "help"):
        _print(*_help())
    elif name == "--version":
        _print(f"adaptact {__version__}")
    elif not name:
        sys.stderr.write("\n".join([*_help(), ""]))
        sys.exit(WRONG_USE)
    elif name.startswith("-"):
        _fail(f"no such option `{name}`", suggest(name, _OPTIONS) or "see `adaptact --help`", WRONG_USE)
    else:
        hint = suggest(name, COMMANDS) or f"expected one of {', '.join(COMMANDS)}"
        _fail(f"unknown command `{name}`", hint, WRONG_USE)


def _run(name: str, program: str, arguments: Sequence[str]) -> None:
    """The command runs with the name that its usage shows."""
    command = COMMANDS[name]
    sys.argv = [program, *arguments]
    module, function = command.target.split(":")
    try:
        getattr(import_module(module), function)()
    except KeyboardInterrupt:
        _fail("interrupted", None, FAILED)
    except Exception as error:  # noqa: BLE001  # the outermost place: a package that is missing or broken
        _explain(error, program, command.extra)


def _explain(error: Exception, program: str, extra: str) -> Never:
    """The process ends with a line on the package that is missing or broken; other errors are faults."""
    if isinstance(error, ModuleNotFoundError) and not _is_ours(error.name):
        missing = f"`{program}` needs `{error.name}`, which is not installed"
        _fail(missing, install_line(extra), FAILED)
    broken = _find_broken_package(error)
    if broken is None or isinstance(error, ModuleNotFoundError):
        raise error
    _fail(
        f"`{program}` needs `{broken}`, which is installed and cannot be loaded: {first_line(error)}",
        "`adaptact doctor` says what is wrong",
        FAILED,
    )


def _is_ours(module: str | None) -> bool:
    return module is None or module.partition(".")[0] in _PACKAGES


def _find_broken_package(error: Exception) -> str | None:
    """The package of others whose import, by one of our modules, ended in the error."""
    traceback = error.__traceback__
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if traceback.tb_frame.f_code.co_name == "<module>" and not _is_ours(module):
            return module.partition(".")[0]
        traceback = traceback.tb_next
    name = error.name if isinstance(error, ImportError) else None
    return None if _is_ours(name) else name


def _show_completion(own: str | None, shell: str | None = None) -> None:
    """Print the script by which a shell completes the program: `adaptact`, or a command's own name."""
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in _SHELLS:
        _fail(f"no completion for the shell `{shell}`", f"expected one of {', '.join(_SHELLS)}", WRONG_USE)
    _complete(own, f"source_{shell}")


def _complete(own: str | None, instruction: str | None = None) -> None:
    from adaptact.completion import complete  # noqa: PLC0415  # typer, for which `--help` need not wait

    modules = {name: (each.target.partition(":")[0], each.summary) for name, each in COMMANDS.items()}
    complete(modules, own, instruction)


def _print(*lines: str) -> None:
    try:
        print_lines(*lines)
    except ClosedPipeError:
        sys.exit(CLOSED_PIPE)
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
        "`adaptact COMMAND --help` lists the options of a command, and `adaptact --version`",
        "prints the version. `adaptact --show-completion bash` (or zsh, fish) prints a script",
        "for the shell to complete all of this.",
    ]


def _fail(message: str, hint: str | None, status: int) -> Never:
    sys.stderr.write(f"error: {escape_line(message)}\n")
    if hint:
        sys.stderr.write(f"hint: {escape_line(hint)}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
