"""`adaptact-inspect`: a checkpoint through `adaptive_act.explain`, an ONNX file by what it carries."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from convert.commands.console import console, print_json, print_rounding, table
from convert.commands.ending import run
from convert.commands.sidecar_files import require_beside, write_text
from convert.errors import SourceError
from convert.manifest.signature import signer

if TYPE_CHECKING:
    from convert.evidence.inspection import Inspected

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="A checkpoint (model.pt) has options of its own: adaptact-inspect model.pt --help")
def inspect(
    source: Annotated[Path, typer.Argument(help="An ONNX file.")],
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="File for the report, as a page.")] = None,
    graph: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for a picture of the graph: .svg, .png or .pdf.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what an ONNX file holds: layers, learned values, operators, rules, parity.

    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    file = _read(source)
    require_beside([source], html, graph)
    _write(file, html, graph)
    if as_json:
        print_json(record(file))
    else:
        with console() as shown:
            _print(file, shown)
    for path in filter(None, (html, graph)):
        Console(stderr=True).print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)


def _read(source: Path) -> "Inspected":
    try:
        from convert.evidence.inspection import inspect as read  # noqa: PLC0415  # --help need not wait for onnx
    except ModuleNotFoundError as error:
        raise SourceError(
            f"reading an ONNX file needs `{error.name}`, which is not installed",
            hint="pip install 'adaptact[convert]'",
        ) from error
    return read(source)


def record(file: "Inspected") -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "file": file.name,
        "bytes": len(file.content),
        "digest": file.digest,
        "signed_by_unchecked": signer(file.content),
        "operators": dict(file.operators),
        "weights": file.numbers,
        "manifest": None if file.manifest is None else asdict(file.manifest),
    }


def _write(file: "Inspected", html: Path | None, graph: Path | None) -> None:
    from convert.evidence.graph_picture import write_graph  # noqa: PLC0415  # it loads torch
    from convert.evidence.report import report  # noqa: PLC0415

    if graph is not None:
        write_graph(file.graph, graph)
    if html is not None:
        write_text(html, report(file))


def _print(file: "Inspected", shown: Console) -> None:
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    shown.print(table(("what", "value"), list(file.facts().items())))
    manifest = file.manifest
    if manifest is None:
        shown.print("no manifest: adaptact did not write this file")
        return
    parts = [
        (tables.TENSORS, tables.tensor_rows(manifest)),
        (tables.ACTIVATIONS, tables.activation_rows(manifest.activations)),
        (tables.FIRED, tables.fired_rows(manifest)),
        (tables.DROPPED, tables.dropped_rows(manifest)),
        (tables.DECLINED, tables.declined_rows(manifest)),
        (tables.PARITY, tables.parity_rows(manifest.parity.outputs)),
        (tables.SETS, tables.set_rows(manifest.parity.sets)),
    ]
    if manifest.rounding is not None:
        print_rounding(shown, manifest.precision, manifest.rounding)
    if manifest.tuning is not None:
        parts += [
            (tables.SPEEDS, tables.speed_rows(manifest.tuning)),
            (tables.CHOSEN, tables.chosen_rows(manifest.tuning)),
            (tables.TRIALS, tables.trial_rows(manifest.tuning)),
        ]
    for header, rows in parts:
        if rows:
            shown.print(table(header, rows))
    if manifest.tuning is not None:
        shown.print(f"tuned for {tables.tuned(manifest.tuning)}")


def main() -> None:
    """Run the command that knows the file, and end the process with its exit status."""
    if any(word.endswith(".onnx") for word in sys.argv[1:]):
        run(app)
        return
    from adaptive_act.explain import cli as explain  # noqa: PLC0415  # it loads torch

    for command in explain.app.registered_commands:
        command.epilog = "An ONNX file has options of its own: adaptact-inspect model.onnx --help"
    explain.main()
