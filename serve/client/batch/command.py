"""`adaptact predict`: arguments in, exit status out: 0 fine, 1 failed, 2 wrong use."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from adaptact import exit_codes
from adaptact.cluster import open_cluster
from adaptact.console import messages
from adaptact.cores import available_cores
from adaptact.errors import AdaptactError, ClusterError, UsageError
from adaptact.exit_codes import FAILED, WRONG_USE
from adaptact.installation import install_line
from adaptact.options import AsJson, Cluster, ClusterCommand, Quiet
from adaptact.output import print_json, print_lines
from adaptact.progress import OnCount, count_bar
from serve.client.batch.run import PredictionRequest, PredictionSummary, journal_path, predict_file
from serve.client.errors import (
    ClientError,
    InvalidAddressError,
    InvalidFileError,
    InvalidHeaderError,
    ReplyTooLargeError,
    ResultFileError,
    UnknownModelError,
)
from serve.client.options import ApiKey, Certificates, read_certificates
from serve.client.retry import Retry
from serve.client.synchronous import Client
from serve.client.transport import Transport

EXIT_CODES: Mapping[type[Exception], int] = {
    ClientError: FAILED,
    ClusterError: FAILED,
    InvalidFileError: WRONG_USE,
    ResultFileError: FAILED,
    InvalidAddressError: WRONG_USE,
    InvalidHeaderError: WRONG_USE,
}
REQUESTS = 2

Predict: TypeAlias = Callable[[Mapping[str, Any], OnCount], PredictionSummary]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(cls=ClusterCommand)
def predict(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="URL MODEL INPUT | MODEL.onnx INPUT",
            help="The server's URL, http://host:8000, and the name of the model there; or the model's file, "
            "which is then run here. INPUT: an .npz or .csv file, or a folder of PNG and JPEG images; for a "
            "model's file also a .jsonl or .parquet file, or a folder of files of one kind.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", dir_okay=False, help="File for the predictions: .npz, .csv, .jsonl or .parquet."
        ),
    ],
    version: Annotated[
        str | None, typer.Option(help="Version of the model, or an alias. Default: the current version.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Output to request. Repeatable. Default: all.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Rows that the model gets at once.")] = 32,
    parallel: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            help="Requests at the same time, 2 by default; of a file of a model the cores that it may use, "
            "by default all of this machine.",
        ),
    ] = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="With a model's file: a row that cannot be answered has the reason in the output `error`, "
            "and the run goes on.",
        ),
    ] = False,
    cluster: Cluster = None,
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
    """Predict every row of a file, by a model on a server or by a model's file, and save the predictions.

    Answers are saved beside OUTPUT as they arrive. After any interruption the same command continues there.
    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    options = dict(locals())
    began = time.monotonic()
    predict_words = _choose_way(words, options)
    try:
        with count_bar(messages(quiet=quiet or as_json), "rows") as on_progress:
            summary = predict_words(options, on_progress)
    except (ClientError, ClusterError) as error:
        error.hint = _hint(error, output)
        raise
    except KeyboardInterrupt:
        raise AdaptactError("interrupted", _hint_at_journal(output)) from None
    if as_json or not quiet:
        _print_summary(summary, output, time.monotonic() - began, as_json=as_json)


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    exit_codes.run(app, EXIT_CODES)


def _choose_way(words: Sequence[str], options: Mapping[str, Any]) -> "Predict":
    """What predicts: a server where three words are given, a file of a model where there are two.

    Raises `UsageError` for other words, and for options that belong to the other way.
    """
    if len(words) not in (2, 3) or (len(words) == 2 and "://" in words[0]):
        raise UsageError(
            f"expected URL MODEL INPUT, or MODEL.onnx INPUT, got `{' '.join(words)[:200]}`",
            "`adaptact predict --help` explains each argument",
        )
    if not os.path.exists(words[-1]):  # `Path.exists` raises where the system refuses the name
        raise InvalidFileError(f"`{words[-1]}` does not exist")
    is_server = len(words) == 3
    others = ("cluster", "keep_going") if is_server else ("version",)
    wrong = next((name for name in others if options[name]), None)
    if wrong is not None:
        option, whose = f"--{wrong.replace('_', '-')}", "a model's file" if is_server else "a server"
        explained = "`adaptact predict --help` explains each argument"
        address = "; the address of a cluster is HOST:PORT, such as head:6379" if wrong == "cluster" else ""
        raise UsageError(f"`{option}` is for {whose}", explained + address)
    return _ask_server if is_server else _run_file


def _ask_server(options: Mapping[str, Any], on_progress: OnCount) -> PredictionSummary:
    url, model, source = options["words"]
    parallel = options["parallel"] or REQUESTS
    request = PredictionRequest(
        model,
        options["version"],
        Path(source),
        options["output"],
        tuple(options["only"] or ()),
        options["batch"],
        parallel,
        options["restart"],
    )
    transport = Transport(
        tls=read_certificates(options["ca"]),
        reply_limit_bytes=options["reply_limit_mib"] * 2**20,
        connections=parallel,
    )
    retry = Retry(options["attempts"], connecting=1)
    seconds = options["timeout"]
    with Client(
        url, api_key=options["api_key"], timeout_seconds=seconds, retry=retry, transport=transport
    ) as client:
        return predict_file(client, request, on_progress)


def _run_file(options: Mapping[str, Any], on_progress: OnCount) -> PredictionSummary:
    try:  # whoever asks a server needs no ONNX Runtime
        from serve.client.batch.offline.cluster import answer_on_cluster  # noqa: PLC0415
        from serve.client.batch.offline.run import (  # noqa: PLC0415
            OfflineRequest,
            answer_in_threads,
            predict_offline,
        )
    except ModuleNotFoundError as error:
        missing = f"a model's file needs `{error.name}`, which is not installed"
        raise AdaptactError(missing, install_line("serve")) from error
    model, source = map(Path, options["words"])
    request = OfflineRequest(
        model,
        source,
        options["output"],
        tuple(options["only"] or ()),
        options["batch"],
        options["restart"],
        options["keep_going"],
    )
    parallel = options["parallel"]
    if options["cluster"] is None:
        return predict_offline(request, answer_in_threads(parallel or available_cores()), on_progress)
    with open_cluster(options["cluster"]) as cluster:
        return predict_offline(request, answer_on_cluster(cluster, parallel), on_progress)


def _print_summary(summary: PredictionSummary, output: Path, seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(summary), "output": str(output), "seconds": round(seconds, 3)})
        return
    version = f" by version {summary.version}" if summary.version else ""
    kept = f", {summary.kept} of them in an earlier run" if summary.kept else ""
    failed = f"; {summary.failed} have no answer, see their `error`" if summary.failed else ""
    answered = summary.rows - summary.failed
    print_lines(f"{output}: {answered} rows answered{version} in {seconds:.1f} s{kept}{failed}")


def _hint(error: ClientError | ClusterError, output: Path) -> str | None:
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
