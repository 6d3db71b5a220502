"""`adaptact predict`: arguments in, exit status out: 0 fine, 1 failed, 2 wrong use."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from adaptact import exit_codes
from adaptact.console import messages
from adaptact.errors import AdaptactError
from adaptact.exit_codes import FAILED, WRONG_USE
from adaptact.options import AsJson, Quiet
from adaptact.output import print_json, print_lines
from adaptact.progress import count_bar
from serve.client.batch.run import PredictionRequest, PredictionSummary, journal_path, predict_file
from serve.client.errors import (
    ClientError,
    InvalidAddressError,
    InvalidFileError,
    InvalidHeaderError,
    ReplyTooLargeError,
    UnknownModelError,
)
from serve.client.options import ApiKey, Certificates, read_certificates
from serve.client.retry import Retry
from serve.client.synchronous import Client
from serve.client.transport import Transport

EXIT_CODES: Mapping[type[Exception], int] = {
    ClientError: FAILED,
    InvalidFileError: WRONG_USE,
    InvalidAddressError: WRONG_USE,
    InvalidHeaderError: WRONG_USE,
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def predict(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    url: Annotated[str, typer.Argument(help="URL of the server: http://host:8000.")],
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            exists=True,
            help="An .npz or .csv file, or a folder of PNG and JPEG images.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", dir_okay=False, help="File for the predictions: .npz or .csv.")
    ],
    version: Annotated[
        str | None, typer.Option(help="Version of the model, or an alias. Default: the current version.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Output to request. Repeatable. Default: all.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Rows in one request.")] = 32,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Requests at the same time.")] = 2,
    attempts: Annotated[
        int, typer.Option(min=1, max=1000, help="Maximum attempts per request before the run gives up.")
    ] = 10,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Maximum seconds per request, including all its attempts.")
    ] = 300.0,
    reply_limit_mib: Annotated[int, typer.Option(min=1, help="Maximum size of one reply, in MiB.")] = 256,
    api_key: ApiKey = None,
    ca: Certificates = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Predict every row again, ignoring what an earlier run saved.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Send every row of a file to a model on a server, and save the predictions.

    Answers are saved beside OUTPUT as they arrive. After any interruption the same command continues there.
    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    request = PredictionRequest(model, version, source, output, tuple(only or ()), batch, parallel, restart)
    began = time.monotonic()
    try:
        transport = Transport(
            tls=read_certificates(ca), reply_limit_bytes=reply_limit_mib * 2**20, connections=parallel
        )
        retry = Retry(attempts, connecting=1)
        with (
            Client(url, api_key=api_key, timeout_seconds=timeout, retry=retry, transport=transport) as client,
            count_bar(messages(quiet=quiet or as_json), "rows") as on_progress,
        ):
            summary = predict_file(client, request, on_progress)
    except ClientError as error:
        error.hint = _hint(error, output)
        raise
    except KeyboardInterrupt:
        raise AdaptactError("interrupted", _hint_at_journal(output)) from None
    if as_json or not quiet:
        _print_summary(summary, output, time.monotonic() - began, as_json=as_json)


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    exit_codes.run(app, EXIT_CODES)


def _print_summary(summary: PredictionSummary, output: Path, seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(summary), "output": str(output), "seconds": round(seconds, 3)})
        return
    version = f" by version {summary.version}" if summary.version else ""
    kept = f", {summary.kept} of them in an earlier run" if summary.kept else ""
    print_lines(f"{output}: {summary.rows} rows answered{version} in {seconds:.1f} s{kept}")


def _hint(error: ClientError, output: Path) -> str | None:
    if error.hint is not None:
        kept = _hint_at_journal(output)
        return error.hint if kept is None else f"{error.hint}; {kept}"
    if exit_codes.exit_code(error, EXIT_CODES) == WRONG_USE:
        return "`adaptact predict --help` explains each argument"
    if isinstance(error, ReplyTooLargeError):
        return "ask for fewer rows at once (`--batch`), or allow larger replies (`--reply-limit-mib`)"
    if isinstance(error, UnknownModelError) and journal_path(output).exists():
        return "the answers that are kept are that version's: serve it again, or begin anew with `--restart`"
    return _hint_at_journal(output)


def _hint_at_journal(output: Path) -> str | None:
    return (
        "the same command goes on with the answers that are kept" if journal_path(output).exists() else None
    )
