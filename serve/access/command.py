"""`adaptact key`: creates an API key, prints it once, and adds its entry to the keys file."""

import fcntl
import os
from pathlib import Path
from typing import Annotated

import typer

from adaptact import exit_codes
from adaptact.errors import AdaptactError, UsageError
from adaptact.exit_codes import FAILED
from adaptact.options import AsJson
from adaptact.output import print_json, print_lines
from serve.access.errors import KeysFileError
from serve.access.keys import MOST_KEYS, NAME, ROLES, Role, format_key, generate_secret, read_keys

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def create_key(
    file: Annotated[Path, typer.Argument(help="Keys file; created if it does not exist.")],
    name: Annotated[str, typer.Option(help="Name of the key's owner, used in logs.")],
    role: Annotated[
        list[str], typer.Option(help="Role of the key: infer, admin, metrics or feedback. Repeatable.")
    ],
    requests_per_second: Annotated[
        float,
        typer.Option(min=0, max=1e6, help="Maximum requests per second; 0 for the server's own limit."),
    ] = 0.0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the key alone, which is all that is printed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create an API key: print it, and add its digest to the keys file, which a running server rereads."""
    roles: frozenset[Role] = frozenset(known for known in ROLES if known in role)
    if unknown := sorted(set(role) - set(ROLES)):
        raise UsageError(f"unknown role `{unknown[0]}`; expected: {', '.join(ROLES)}")
    if not NAME.fullmatch(name):
        raise UsageError(f"the name `{name}` has other signs than letters, digits and `._@-`")
    secret = generate_secret()
    try:
        _append(file, name, format_key(name, secret, roles, requests_per_second))
    except OSError as error:
        raise AdaptactError(f"`{file}` cannot be written: {error.strerror}") from error
    if as_json:
        print_json({"file": str(file), "name": name, "roles": sorted(roles), "key": secret})
    else:
        print_lines(secret)


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line."""
    exit_codes.run(app, {KeysFileError: FAILED})


def _append(file: Path, name: str, lines: str) -> None:
    """Append the lines of the key of this name; raises `UsageError` where no server could read them there."""
    # Digests are no secrets, but the list of callers is not for everybody.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # two commands at once see each other's keys
        keys = read_keys(file)
        if any(key.name == name for key in keys):
            raise UsageError(f"`{file}` has a key named `{name}`; remove its table first")
        if len(keys) >= MOST_KEYS:
            raise UsageError(f"`{file}` has {MOST_KEYS} keys, as many as may be; remove some first")
        stream.write(lines if os.fstat(descriptor).st_size == 0 else f"\n{lines}")
