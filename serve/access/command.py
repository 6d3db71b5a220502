"""`adaptact-key`: a new API key, shown once, and its line in the keys file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from serve.access.errors import KeysFileError
from serve.access.keys import NAME, ROLES, Role, format_key, generate_secret, read_keys

FAILED, WRONG_USE = 1, 2


def create_key(
    file: Annotated[Path, typer.Argument(help="The keys file; made if it is not there.")],
    name: Annotated[str, typer.Option(help="Whose key it is, as logs will name them.")],
    role: Annotated[
        list[str], typer.Option(help="What it allows: infer, admin, metrics; repeat it for more.")
    ],
    requests_per_second: Annotated[
        float, typer.Option(min=0, max=1e6, help="How many requests a second it allows; 0 for any number.")
    ] = 0.0,
) -> None:
    """Make an API key: print it, and add its digest to the keys file, which a running server reads again."""
    roles: frozenset[Role] = frozenset(each for each in ROLES if each in role)
    if unknown := sorted(set(role) - set(ROLES)):
        _end(f"unknown role `{unknown[0]}`; expected: {', '.join(ROLES)}", WRONG_USE)
    if not NAME.fullmatch(name):
        _end(f"the name `{name}` has other signs than letters, digits and `._@-`", WRONG_USE)
    try:
        if file.exists() and any(key.name == name for key in read_keys(file)):
            _end(f"`{file}` has a key named `{name}`; remove its table first", WRONG_USE)
        secret = generate_secret()
        _append_lines(file, format_key(name, secret, roles, requests_per_second))
    except KeysFileError as error:
        _end(str(error), FAILED)
    except OSError as error:
        _end(f"`{file}` cannot be written: {error.strerror}", FAILED)
    typer.echo(secret)


def _append_lines(file: Path, lines: str) -> None:
    # Digests are no secrets, but who may call is nobody's business.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(lines if os.fstat(descriptor).st_size == 0 else f"\n{lines}")


def _end(message: str, status: int) -> None:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(status)


def main() -> None:
    """Run the command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(create_key)
    app()
