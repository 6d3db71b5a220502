"""`adaptact inspect` for a checkpoint: what its activations have learned, as a table, pictures and a page."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from adaptact import console, exit_codes
from adaptact.errors import UsageError
from adaptact.files import replace_file
from adaptact.languages.spoken import say
from adaptact.options import AsJson, Factory, FactoryKwargs, Quiet, SpokenLanguage, parse_json_object
from adaptact.output import print_json
from adaptact.progress import count_bar
from adaptact.text import escape_line
from adaptive_act.checkpoint.checkpoint import Checkpoint, load
from adaptive_act.errors import AdaptiveActError
from adaptive_act.explain.data import SampleBatches, read_data
from adaptive_act.explain.decisions import Decisions, decide
from adaptive_act.explain.drift import read_tracks
from adaptive_act.explain.layers import layers
from adaptive_act.explain.reach import reach
from adaptive_act.explain.report import Findings, describe_files, report, write_pictures
from adaptive_act.explain.start import distinct_activations
from adaptive_act.explain.table import (
    decision_header,
    decision_rows,
    decisions_record,
    layer_header,
    layer_record,
    layer_row,
)
from adaptive_act.explain.wording import explain_layer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def inspect(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Checkpoint of adaptive_act.save.")
    ],
    factory: Factory = None,
    factory_kwargs: FactoryKwargs = None,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Samples: .npz, one array per input; with `labels`, each layer is also reset to its start.",
        ),
    ] = None,
    monitor: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="CSV file of the training monitor; shows the drift during training.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for curves.png, report.png and report.html.")
    ] = None,
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="HTML file for the report alone.")] = None,
    language: SpokenLanguage = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what the activations of a trained model have learned, and what each of them decides.

    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    checkpoint = load(source, factory, parse_json_object(factory_kwargs, "--factory-kwargs"))
    samples = read_data(data, checkpoint.inputs) if data else None
    decisions = _decide(checkpoint, samples, console.messages(quiet=quiet or as_json))
    findings = Findings(
        layers=layers(checkpoint.model, reach(checkpoint.model, samples.batches) if samples else None),
        decisions=decisions,
        tracks=read_tracks(monitor) if monitor else (),
        provenance=describe_files({"model": source, "samples": data, "monitor": monitor}),
    )
    try:
        written = list(_write(findings, source.name, output, html))
    except OSError as error:
        raise UsageError(f"the report cannot be written: {error}") from error
    if as_json:
        print_json(_record(findings))
    elif not quiet:
        _print(findings)
    for path in written if not quiet else ():
        console.print_written(path)


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line."""
    exit_codes.run(app, {AdaptiveActError: exit_codes.FAILED})


def _decide(checkpoint: Checkpoint, samples: SampleBatches | None, messages: Console) -> Decisions | None:
    """What each layer decides on the samples; None where they have no labels."""
    if samples is None or samples.labels is None:
        return None
    model, labelled = checkpoint.model, samples.labelled
    passes = itertools.count(1)
    with count_bar(
        messages, "putting layers back", len(distinct_activations(model)) + 2, transient=True
    ) as on_progress:
        return decide(model, labelled, classes=checkpoint.classes, passed=lambda: on_progress(next(passes)))


def _record(findings: Findings) -> dict[str, Any]:
    return {
        "provenance": dict(findings.provenance),
        "layers": [layer_record(layer) for layer in findings.layers],
        "decisions": None if findings.decisions is None else decisions_record(findings.decisions),
    }


def _print(findings: Findings) -> None:
    with console.results() as results:
        results.print(console.table(layer_header(), map(layer_row, findings.layers)))
        if findings.decisions is not None:
            results.print(console.table(decision_header(), decision_rows(findings.decisions)))
        for layer in findings.layers:
            results.print(escape_line(f"{layer.name}: {explain_layer(layer)}"))


def _write(findings: Findings, name: str, output: Path | None, html: Path | None) -> Iterator[Path]:
    """Writes the pictures and pages that the options name, and yields the path of each."""
    pages = [html] if html else []
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        pictures = output / "curves.png", output / "report.png"
        write_pictures(findings, *pictures)
        yield from pictures
        pages.append(output / "report.html")
    text = report(findings, say("Activations of {name}", name=name)) if pages else ""
    for path in pages:
        with replace_file(path) as file:
            file.write_text(text, encoding="utf-8")
        yield path
