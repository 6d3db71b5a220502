"""A Typer application run, and what it says of wrong use turned into this package's own error."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from adaptact.errors import AdaptactError, UsageError
from adaptact.suggestions import suggest, suggest_file

# The root of what Typer raises for the words of a command line; its module moved from click into Typer.
_COMMAND_LINE_ERROR: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
_INTERRUPTED = 130  # what Typer itself makes of Ctrl-C
_MISSING_FILE = re.compile(r"(?:file|path|directory) '(.+)' does not exist\.?$", re.DOTALL | re.IGNORECASE)


def call(app: Callable[[], object]) -> int | None:
    """The exit code of the application, once it has run on the words of the command line.

    Another function than a Typer application is called, and has none.

    Raises UsageError for words that make no command, and AdaptactError where it was interrupted. What the
    command itself raises passes.
    """
    if not isinstance(app, typer.Typer):
        app()
        return None
    try:
        status = app(prog_name=_program(), standalone_mode=False)
    except typer.Exit as ended:
        return int(ended.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        raise AdaptactError("interrupted") from None
    except _COMMAND_LINE_ERROR as error:
        raise _make_error(error) from None
    if status == _INTERRUPTED:
        raise AdaptactError("interrupted")
    return status if isinstance(status, int) else 0


def _program() -> str:
    return Path(sys.argv[0]).name


def _make_error(error: Exception) -> Exception:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else _program()
    if type(error).__name__ == "NoArgsIsHelpError":
        return UsageError(f"`{command}` needs a command or an argument", f"`{command} --help` lists them")
    text = error.format_message()  # type: ignore[attr-defined]  # every one of Typer's has it
    name = getattr(error, "option_name", None)
    question = None
    if type(error).__name__ == "NoSuchOption" and name:
        text = f"no such option `{name}`"
        known = [] if context is None else _list_options(context)
        question = suggest(name, known)
    elif missing := _MISSING_FILE.search(text):
        question = suggest_file(Path(missing[1]))
    text = f"{text[:1].lower()}{text[1:]}".rstrip(".").replace("\n", " ")
    return UsageError(text, question or f"`{command} --help` lists what it takes")


def _list_options(context: typer.Context) -> list[str]:
    options = [option for parameter in context.command.params for option in parameter.opts]
    return [*options, *context.help_option_names]
