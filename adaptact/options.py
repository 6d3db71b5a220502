"""Options that several commands share: their declarations and the parsing of their texts."""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from adaptact.errors import UsageError
from adaptact.languages.catalogue import Language
from adaptact.languages.spoken import choose_language, speak

ADDRESS = re.compile(r"auto|(ray://)?[^\s:/]+:[0-9]{1,5}|(ray://)?\[[0-9a-fA-F:.]+\]:[0-9]{1,5}")

Factory = Annotated[str | None, typer.Option(help="Callable that builds the model: package.module:callable.")]
FactoryKwargs = Annotated[str | None, typer.Option(help="Keyword arguments of the factory, a JSON object.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, without progress.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="[HOST:PORT]",
        help="Work on a Ray cluster: that at the address, else that of RAY_ADDRESS or of this machine.",
    ),
]


class ClusterCommand(TyperCommand):
    """A command whose option `--cluster` may stand without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments that are left."""
        return super().parse_args(ctx, name_cluster(args))


def name_cluster(words: Sequence[str]) -> list[str]:
    """The words of a command line, `--cluster` with the address `auto` where none stands behind it."""
    return [
        "--cluster=auto" if word == "--cluster" and not ADDRESS.fullmatch(after) else word
        for word, after in zip(words, [*words[1:], ""], strict=False)
    ]


def _speak(context: typer.Context, asked: Language | None) -> Language | None:
    """The command speaks the language from here on, to its end."""
    context.with_resource(speak(asked or choose_language()))
    return asked


SpokenLanguage = Annotated[
    Language | None,
    typer.Option(
        "--language",
        callback=_speak,
        help="Language of reports and sentences: en or ja. Default: that of LC_ALL or LANG.",
    ),
]


def parse_json_object(text: str | None, option: str) -> dict[str, Any] | None:
    """The object that the option holds; None where it was not given. Raises UsageError for any other JSON."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`{option}` is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"`{option}` is a `{type(value).__name__}`, expected a JSON object")
    return value


def stay_offline() -> None:
    """Libraries of models that are imported from now on ask no network, and print nothing but errors."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def use_working_folder() -> None:
    """Make modules in the working folder importable, after all others: a `torch.py` there hides nothing."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
