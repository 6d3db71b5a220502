"""Options that several commands share: their declarations and the parsing of their texts."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from adaptact.errors import UsageError

Factory = Annotated[str | None, typer.Option(help="Callable that builds the model: package.module:callable.")]
FactoryKwargs = Annotated[str | None, typer.Option(help="Keyword arguments of the factory, a JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, without progress.")]


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
