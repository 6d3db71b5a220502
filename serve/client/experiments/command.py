"""`adaptact experiment`: arguments in, exit status out: 0 fine, 1 failed, 2 wrong use."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from adaptact import exit_codes
from adaptact.console import messages, print_written, results
from adaptact.exit_codes import FAILED, WRONG_USE
from adaptact.files import write_text
from adaptact.languages.spoken import say, spoken
from adaptact.options import AsJson
from adaptact.output import print_json, print_lines
from adaptact.progress import count_bar
from serve.client.errors import ClientError, InvalidAddressError, InvalidFileError, InvalidHeaderError
from serve.client.experiments import store_commands
from serve.client.experiments.client import Answer, ExperimentClient
from serve.client.experiments.connecting import asks_server
from serve.experiments.errors import DefinitionError, ExperimentError

if TYPE_CHECKING:
    from serve.experiments.definition import Experiment

EXIT_CODES: Mapping[type[Exception], int] = {
    ClientError: FAILED,
    InvalidFileError: WRONG_USE,
    InvalidAddressError: WRONG_USE,
    InvalidHeaderError: WRONG_USE,
    ExperimentError: FAILED,
    DefinitionError: WRONG_USE,
}
ACTS = {
    "start": "Start the experiment: in shadow, or at the first step where it has no shadow.",
    "advance": "Go on from shadow to the ramp, or to the ramp's next step.",
    "pause": "Answer every unit as without the experiment, until it is resumed.",
    "resume": "Go on after a pause.",
    "stop": "Roll back: answer every unit as without the experiment.",
    "promote": "Let a candidate answer from now on where no version is named.",
}

Name = Annotated[str, typer.Argument(help="Name of the experiment.")]
Definitions = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file of definitions.")]

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True
)


@app.callback()
def describe() -> None:
    """Compare models on live traffic: define, start, watch and end experiments of a running server.

    Exit status: 0 fine, 1 failed, 2 wrong use.
    """


@app.command("list")
@asks_server
def list_experiments(client: ExperimentClient, *, as_json: AsJson = False) -> None:
    """List every experiment and its stage."""
    from serve.client.experiments import replies, tables  # noqa: PLC0415  # pydantic: not for `--help`

    answer = client.experiments()
    _show(answer, lambda: tables.tabulate_experiments(replies.read(replies.ExperimentList, answer)), as_json)


@app.command()
@asks_server
def show(client: ExperimentClient, name: Name, *, as_json: AsJson = False) -> None:
    """Show the verdict of an experiment, what it rests on, and how its interval has closed."""
    from serve.client.experiments import replies, tables  # noqa: PLC0415

    known, found, looks = client.experiment(name), client.results(name, spoken()), client.looks(name, most=48)
    if as_json:
        print_json({**known, "results": found})
        return
    parts = (
        tables.describe_experiment(replies.read(replies.Experiment, known)),
        tables.show_results(replies.read(replies.Results, found), replies.read(replies.Looks, looks)),
    )
    with results() as console:
        for part in parts:
            console.print(part)


@app.command()
@asks_server
def plan(  # noqa: PLR0913  # each argument is an option of the command
    client: ExperimentClient,
    what: Annotated[
        str, typer.Argument(metavar="NAME|FILE.yaml", help="An experiment, or a file of definitions.")
    ],
    *,
    units_per_day: Annotated[
        float, typer.Option(min=0, help="Units a day. Default: as many as the server has seen.")
    ] = 0.0,
    change: Annotated[float, typer.Option(help="Relative change to show: 0.1 for 10 %.")] = 0.1,
    harm: Annotated[float, typer.Option(help="Times as many errors, or as slow, for guardrails.")] = 3.0,
    power: Annotated[float, typer.Option(help="Chance to show the change: 0.8 for 80 %.")] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Say before the start what an experiment will show, and when, at the traffic that the server has."""
    from serve.client.experiments import plan_replies, replies, tables  # noqa: PLC0415

    assumed = {"units_per_day": units_per_day, "change": change, "harm": harm, "power": power}
    if Path(what).suffix.lower() in (".yaml", ".yml"):
        definitions = [each.model_dump(mode="json") for each in _read_definitions(Path(what))]
        answers = [client.plan_definition(each, **assumed) for each in definitions]
    else:
        answers = [client.plan(what, **assumed)]
    if as_json:
        print_json({"plans": answers})
        return
    with results() as console:
        for answer in answers:
            console.print(tables.show_plan(replies.read(plan_replies.Plan, answer)))


@app.command()
@asks_server
def define(client: ExperimentClient, file: Definitions, *, as_json: AsJson = False) -> None:
    """Define the experiments of a file, or amend them; the same file again changes nothing."""
    from serve.client.experiments import replies, tables  # noqa: PLC0415

    found = [client.define(each.name, each.model_dump(mode="json")) for each in _read_definitions(file)]
    answer: Answer = {"experiments": list(found)}
    _show(answer, lambda: tables.tabulate_experiments(replies.read(replies.ExperimentList, answer)), as_json)


def _add_act(act: str, summary: str) -> None:
    @app.command(act, help=summary)
    @asks_server
    def take(
        client: ExperimentClient,
        name: Name,
        *,
        reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
        as_json: AsJson = False,
    ) -> None:
        _take(client, name, act, reason, as_json=as_json)


for _act, _summary in ACTS.items():
    if _act != "promote":
        _add_act(_act, _summary)


@app.command(help=ACTS["promote"])
@asks_server
def promote(
    client: ExperimentClient,
    name: Name,
    *,
    candidate: Annotated[str, typer.Option(help="The winner. Default: the first candidate.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    as_json: AsJson = False,
) -> None:
    """Promote a candidate."""
    _take(client, name, "promote", reason, candidate, as_json=as_json)


@app.command()
@asks_server
def report(
    client: ExperimentClient,
    name: Name,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", dir_okay=False, help="File to write: .html, or .json for a dossier."),
    ],
    as_json: AsJson = False,
) -> None:
    """Write the experiment as one HTML page that needs nothing else: verdict, curves, audit trail.

    A file that ends in .json holds verdict, phases and audit trail for `adaptact dossier`.
    """
    from serve.client.experiments.report import (  # noqa: PLC0415
        read_document,
        read_evidence,
        render_report,
    )

    if output.suffix.lower() == ".json":
        write_text(output, json.dumps(read_document(client, name), ensure_ascii=False, indent=1) + "\n")
    else:
        write_text(output, render_report(read_evidence(client, name, spoken()), spoken()))
    if as_json:
        print_json({"report": str(output)})
    else:
        print_written(output)


@app.command()
@asks_server
def feedback(
    client: ExperimentClient,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSONL, CSV or Parquet.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Send a file of outcomes in parts; to send it again is harmless. A refused outcome fails the command."""
    from serve.client.experiments import tables  # noqa: PLC0415
    from serve.client.experiments.sending import send_feedback  # noqa: PLC0415

    with count_bar(messages(quiet=as_json), "sent") as on_progress:
        receipt = send_feedback(client, file, on_progress)
    if as_json:
        print_json(receipt.model_dump())
    else:
        print_lines(
            say(
                "{new} new, {duplicate} known before, {refused} refused",
                new=receipt.new,
                duplicate=receipt.duplicate,
                refused=receipt.refused,
            )
        )
        if receipt.unmatched:
            print_lines(
                say(
                    "{count} are of requests that are not known: they count for no unit",
                    count=receipt.unmatched,
                )
            )
        print_lines(*tables.describe_unknown(receipt))
        if receipt.reasons:
            with results() as console:
                console.print(tables.tabulate_refused(receipt))
    if receipt.refused:
        raise typer.Exit(FAILED)


app.command()(store_commands.backup)
app.command()(store_commands.restore)
app.command()(store_commands.samples)


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    exit_codes.run(app, EXIT_CODES)


def _take(
    client: ExperimentClient, name: str, act: str, reason: str, candidate: str = "", *, as_json: bool
) -> None:
    from serve.client.experiments import replies, tables  # noqa: PLC0415

    answer = client.act(name, act, reason, candidate)
    _show(answer, lambda: tables.describe_experiment(replies.read(replies.Experiment, answer)), as_json)


def _show(answer: Answer, make: Callable[[], RenderableType], as_json: bool) -> None:
    """The answer as it came, or for people."""
    if as_json:
        print_json(answer)
        return
    shown = make()
    with results() as console:
        console.print(shown)


def _read_definitions(path: Path) -> "tuple[Experiment, ...]":
    from serve.experiments.reading import read_experiments  # noqa: PLC0415  # pydantic and yaml

    return read_experiments(path)
