"""`adaptact-predict`: arguments in, exit status out: 0 fine, 1 failed, 2 wrong use."""

import json
import ssl
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Never

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from serve.client.batch.run import PredictionRequest, PredictionSummary, journal_path, predict_file
from serve.client.errors import (
    ClientError,
    InvalidAddressError,
    InvalidFileError,
    InvalidHeaderError,
    UnknownModelError,
)
from serve.client.retry import Retry
from serve.client.synchronous import Client
from serve.client.transport import Transport

FAILED = 1
WRONG_USE = 2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def predict(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    url: Annotated[str, typer.Argument(help="The server: http://host:8000.")],
    model: Annotated[str, typer.Argument(help="The model's name.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            exists=True,
            help="An .npz or .csv file, or a folder of PNG and JPEG images.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", dir_okay=False, help="The file for the answers: .npz or .csv.")
    ],
    version: Annotated[
        str | None, typer.Option(help="The model's version, or an alias; else the one that answers now.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="An output that is wanted, else all. Repeatable.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Rows in one request.")] = 32,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Requests at once.")] = 2,
    attempts: Annotated[
        int, typer.Option(min=1, max=1000, help="How often a request is sent before the run gives up.")
    ] = 10,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds that a request may take, with all its attempts.")
    ] = 300.0,
    api_key: Annotated[
        str | None, typer.Option(envvar="ADAPTACT_API_KEY", help="The key; others see it on a command line.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The certificates to trust, in PEM; else the system's."
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Ask about every row again, whatever an earlier run kept.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, and no progress.")
    ] = False,
) -> None:
    """Ask a server for its model's answers to every row of a file.

    Answers are kept beside OUTPUT as they come: the same command goes on where an earlier one ended, however
    it ended. Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    request = PredictionRequest(model, version, source, output, tuple(only or ()), batch, parallel, restart)
    began = time.monotonic()
    try:
        transport = Transport(tls=_read_certificates(ca), connections=parallel)
        with Client(
            url, api_key=api_key, timeout_seconds=timeout, retry=Retry(attempts), transport=transport
        ) as client:
            done = _run(client, request, quiet=as_json)
    except (InvalidFileError, InvalidAddressError, InvalidHeaderError) as error:
        _fail(str(error), "`adaptact-predict --help` explains each argument", WRONG_USE)
    except ClientError as error:
        _fail(str(error), _hint_at_journal(output, error), FAILED)
    except KeyboardInterrupt:
        _fail("interrupted", _hint_at_journal(output), FAILED)
    _print_summary(done, output, time.monotonic() - began, as_json=as_json)


def _run(client: Client, request: PredictionRequest, *, quiet: bool) -> PredictionSummary:
    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Without a terminal a bar would be a line for each of its steps.
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("rows", total=None)
        return predict_file(client, request, lambda done, rows: bar.update(task, completed=done, total=rows))


def _print_summary(done: PredictionSummary, output: Path, seconds: float, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**asdict(done), "output": str(output), "seconds": round(seconds, 3)}))
        return
    by = f" by version {done.version}" if done.version else ""
    kept = f", {done.kept} of them in an earlier run" if done.kept else ""
    typer.echo(f"{output}: {done.rows} rows answered{by} in {seconds:.1f} s{kept}")


def _read_certificates(ca: Path | None) -> ssl.SSLContext | None:
    try:
        return None if ca is None else ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise InvalidFileError(f"`{ca}` holds no certificates in PEM: {error.reason}") from error
    except OSError as error:
        raise InvalidFileError(f"`{ca}` cannot be read: {error.strerror}") from error


def _hint_at_journal(output: Path, error: ClientError | None = None) -> str:
    if not journal_path(output).exists():
        return ""
    if isinstance(error, UnknownModelError):
        return "the answers that are kept are that version's: serve it again, or begin anew with `--restart`"
    return "the same command goes on with the answers that are kept"


def _fail(message: str, hint: str, status: int) -> Never:
    typer.echo(f"error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    raise typer.Exit(status)


def main() -> None:
    """Run the command."""
    app()
