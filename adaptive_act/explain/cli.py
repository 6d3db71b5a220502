"""`adaptact-inspect`: what a model's activations have learned, as a table, as pictures and as a page."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from adaptact.files import replace_file
from adaptive_act.checkpoint.checkpoint import Checkpoint, load
from adaptive_act.errors import AdaptiveActError
from adaptive_act.explain.data import read_data
from adaptive_act.explain.decisions import decide
from adaptive_act.explain.drift import read_tracks
from adaptive_act.explain.layers import layers
from adaptive_act.explain.reach import reach
from adaptive_act.explain.report import Findings, provenance, report, write_pictures
from adaptive_act.explain.start import distinct
from adaptive_act.explain.table import (
    DECISIONS,
    LAYERS,
    decision_rows,
    decisions_record,
    layer_record,
    layer_row,
)
from adaptive_act.explain.wording import explained

FAILED = 1

_PIPED_WIDTH = 160  # characters, where there is no terminal to ask

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def inspect(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A checkpoint of adaptive_act.save.")
    ],
    factory: Annotated[
        str | None, typer.Option(help="The code that builds the model: package.module:callable.")
    ] = None,
    factory_kwargs: Annotated[str | None, typer.Option(help="What to call it with, a JSON object.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Samples: .npz, one array an input; with an array `labels`, each layer is put back as well.",
        ),
    ] = None,
    monitor: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The training monitor's CSV file, for the drift."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for curves.png, report.png and report.html.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for the report alone, as a page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what the activations of a trained model have learned, and what each of them decides.

    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    if factory is not None:
        sys.path.insert(0, str(Path.cwd()))  # where `python -m` too would find the user's own modules
    checkpoint = load(source, factory, _json_object(factory_kwargs))
    findings = _findings(checkpoint, source, data, monitor)
    try:
        written = _write(findings, source.name, output, html)
    except OSError as error:
        raise typer.BadParameter(f"the report cannot be written: {error}") from error
    if as_json:
        sys.stdout.write(json.dumps(_record(findings), allow_nan=False) + "\n")
    else:
        _print(findings)
    for path in written:
        Console(stderr=True).print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)


def _findings(checkpoint: Checkpoint, source: Path, data: Path | None, monitor: Path | None) -> Findings:
    """All that can be found of a checkpoint; the rest of this file knows nothing of models."""
    model = checkpoint.model
    tracks = read_tracks(monitor) if monitor else ()
    samples = read_data(data, checkpoint.inputs) if data else None
    reached = reach(model, samples.batches) if samples else None
    decisions = None
    if samples and samples.labels is not None:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("putting layers back", total=len(distinct(model)) + 2)
            decisions = decide(
                model, samples.labelled, classes=checkpoint.classes, passed=lambda: progress.advance(task)
            )
    facts = provenance({"model": source, "samples": data, "monitor": monitor})
    return Findings(layers(model, reached), decisions, tracks, facts)


def _record(findings: Findings) -> dict[str, Any]:
    return {
        "provenance": dict(findings.provenance),
        "layers": [layer_record(layer) for layer in findings.layers],
        "decisions": None if findings.decisions is None else decisions_record(findings.decisions),
    }


def _print(findings: Findings) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    tables = [(LAYERS, [layer_row(layer) for layer in findings.layers])]
    if findings.decisions is not None:
        tables.append((DECISIONS, decision_rows(findings.decisions)))
    for header, rows in tables:
        columns = (Column(Text(name), overflow="fold") for name in header)
        table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for layer in findings.layers:
        console.print(f"{layer.name}: {explained(layer)}", highlight=False, markup=False)


def _write(findings: Findings, name: str, output: Path | None, html: Path | None) -> list[Path]:
    """Writes what was asked for, and says what that was."""
    pages = [html] if html else []
    written = []
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        written = [output / "curves.png", output / "report.png"]
        write_pictures(findings, *written)
        pages.append(output / "report.html")
    text = report(findings, f"Activations of {name}") if pages else ""
    for path in pages:
        with replace_file(path) as file:
            file.write_text(text, encoding="utf-8")
    return written + pages


def _json_object(text: str | None) -> dict[str, Any] | None:
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"`--factory-kwargs` is not JSON: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise typer.BadParameter(f"`--factory-kwargs` is a `{type(found).__name__}`, expected a JSON object")
    return found


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line."""
    try:
        app()
    except AdaptiveActError as error:
        message = f"error: {error}"
        Console(stderr=True).print(message, style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(FAILED)
