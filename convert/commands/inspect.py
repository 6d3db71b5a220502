"""`adaptact inspect`: a checkpoint through `adaptive_act.explain`, an ONNX file by what it carries."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from adaptact.console import print_written, results, table
from adaptact.files import write_text
from adaptact.installation import install_line
from adaptact.languages.spoken import say, say_all
from adaptact.options import Quiet, SpokenLanguage
from adaptact.output import print_json
from convert.commands.entry_point import run
from convert.commands.options import require_separate
from convert.commands.printing import print_coverage, print_line, print_rounding
from convert.errors import SourceError
from convert.manifest.manifest import Manifest
from convert.manifest.signature import read_signer

if TYPE_CHECKING:
    from convert.evidence.inspection import OnnxFile

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="A checkpoint (model.pt) has options of its own: adaptact inspect model.pt --help")
def inspect(
    source: Annotated[Path, typer.Argument(help="ONNX file.")],
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="HTML file for the report.")] = None,
    graph: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for an image of the graph: .svg, .png or .pdf.")
    ] = None,
    language: SpokenLanguage = None,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what an ONNX file holds: layers, learned values, operators, rules, parity.

    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    file = _read(source)
    require_separate([source], html, graph)
    _write(file, html, graph)
    if as_json:
        print_json(summarise(file))
    elif not quiet:
        _print(file)
    for path in filter(None, () if quiet else (html, graph)):
        print_written(path)


def _read(source: Path) -> "OnnxFile":
    try:
        from convert.evidence.inspection import read_onnx_file as read  # noqa: PLC0415  # --help need not wait for onnx
    except ModuleNotFoundError as error:
        raise SourceError(
            f"reading an ONNX file needs `{error.name}`, which is not installed",
            hint=install_line("convert"),
        ) from error
    return read(source)


def summarise(file: "OnnxFile") -> dict[str, Any]:
    """The result that `--json` prints."""
    return {
        "file": file.name,
        "bytes": len(file.content),
        "digest": file.digest,
        "signed_by_unchecked": read_signer(file.content),
        "operators": dict(file.operators),
        "weights": file.numbers,
        "strength": None if file.manifest is None else file.manifest.parity.strength,
        "manifest": None if file.manifest is None else asdict(file.manifest),
    }


def _write(file: "OnnxFile", html: Path | None, graph: Path | None) -> None:
    from convert.evidence.graph_picture import write_picture  # noqa: PLC0415  # it loads torch
    from convert.evidence.report import render_report  # noqa: PLC0415

    if graph is not None:
        write_picture(file.graph, graph)
    if html is not None:
        write_text(html, render_report(file))


def _print(file: "OnnxFile") -> None:
    with results() as console:
        console.print(table(say_all("what", "value"), list(file.list_facts().items())))
        if file.manifest is None:
            print_line(console, say("no manifest: adaptact did not write this file"))
        else:
            _print_manifest(file.manifest, console)


def _print_manifest(manifest: Manifest, console: Console) -> None:
    from convert.evidence import provider_tables, set_tables, tables  # noqa: PLC0415  # it loads torch

    parts = [
        tables.tabulate_tensors(manifest),
        tables.tabulate_activations(manifest.activations),
        tables.tabulate_fired(manifest),
        tables.tabulate_dropped(manifest),
        tables.tabulate_declined(manifest),
        tables.tabulate_parity(manifest.parity.outputs),
        set_tables.tabulate_sets(manifest.parity.sets),
    ]
    print_coverage(console, manifest.parity)
    if manifest.rounding is not None:
        print_rounding(console, manifest.precision, manifest.rounding)
    if manifest.choice is not None:
        parts.append(provider_tables.tabulate_candidates(manifest.choice))
    if manifest.tuning is not None:
        parts += tables.tabulate_tuning(manifest.tuning)
    for header, rows in parts:
        if rows:
            console.print(table(header, rows))
    if manifest.choice is not None:
        line = provider_tables.describe_choice(manifest.choice)
        print_line(console, say("provider chosen by measuring: {choice}", choice=line))
    if manifest.tuning is not None:
        print_line(console, say("tuned for {target}", target=tables.describe_tuning(manifest.tuning)))


def main() -> None:
    """Run the command that knows the file, and end the process with its exit code."""
    if any(word.endswith(".onnx") for word in sys.argv[1:]):
        run(app)
        return
    from adaptive_act.explain import cli as explain  # noqa: PLC0415  # it loads torch

    for command in explain.app.registered_commands:
        command.epilog = "An ONNX file has options of its own: adaptact inspect model.onnx --help"
    explain.main()
