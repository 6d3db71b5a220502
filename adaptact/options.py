"""What options of several commands share: their declarations, and how their text is read."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from adaptact.errors import UsageError

Factory = Annotated[str | None, typer.Option(help="The code that builds the model: package.module:callable.")]
FactoryKwargs = Annotated[str | None, typer.Option(help="What to call it with, a JSON object.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and no progress.")]


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


def use_working_folder() -> None:
    """The user's own modules are found in the working folder, as `python -m` too would find them."""
    sys.path.insert(0, str(Path.cwd()))
