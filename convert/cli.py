"""`adaptact-export`: arguments in, exit status out."""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from convert.errors import ConversionError, ParityError, UsageError
from convert.manifest import Manifest
from convert.opset import DEFAULT_OPSET, OPSETS

FINE, FAILED, WRONG_USE, PARITY_FAILED = 0, 1, 2, 3

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def export(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[Path, typer.Argument(help="A checkpoint of adaptive_act.save, or a bare state_dict.")],
    destination: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    factory: Annotated[
        str | None, typer.Option(help="The code that builds the model: package.module:callable.")
    ] = None,
    factory_kwargs: Annotated[str | None, typer.Option(help="What to call it with, a JSON object.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="An input, as x:float32[N,3,32,32]; a name is a free size. Repeatable."),
    ] = None,
    samples: Annotated[Path | None, typer.Option(help="Your own samples: .npz, one array an input.")] = None,
    opset: Annotated[int, typer.Option(min=OPSETS[0], max=OPSETS[-1])] = DEFAULT_OPSET,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            help="OUTPUT=SHARE: accept this error too, as a share of the output's scale. Repeatable."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, and no progress.")
    ] = False,
) -> None:
    """Write a trained PyTorch model as an ONNX file that computes the same, and prove it.

    Exit status: 0 fine, 1 failed, 2 wrong use, 3 parity failed. Nothing is written unless it is 0.
    """
    # OpenMP's threads wait for each other by turning, which on cores that others use too makes parity six
    # times as slow (ResNet-18: 28 s instead of 4.5 s, two exports on two cores). Torch reads it as it loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here so that --help and a wrong option answer at once: torch takes two seconds.
    from convert.inputs import parse_input  # noqa: PLC0415
    from convert.pipeline import convert  # noqa: PLC0415

    if factory is not None:
        sys.path.insert(0, str(Path.cwd()))  # where `python -m` too would find the user's own modules
    progress = Progress(Console(stderr=True, quiet=as_json))
    try:
        manifest = convert(
            source,
            destination,
            factory=factory,
            factory_kwargs=_json_object(factory_kwargs),
            inputs=[parse_input(text) for text in inputs or []],
            samples=samples,
            opset=opset,
            tolerances=dict(_tolerance(text) for text in tolerance or []),
            started=progress.started,
        )
    finally:
        progress.finished()
    if as_json:
        sys.stdout.write(json.dumps(summary(manifest, destination), allow_nan=False) + "\n")
    else:
        _print(manifest, destination)


class Progress:
    """One line a stage on the console: its name while it runs, and the seconds it took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")
        self._stage: str | None = None
        self._since = 0.0

    def started(self, stage: str) -> None:
        """The stage before has ended and this one begins."""
        self._end()
        self._stage, self._since = stage, time.perf_counter()
        self._status.update(f"{stage} ...")
        self._status.start()

    def finished(self) -> None:
        """No stage runs any more."""
        self._end()
        self._status.stop()

    def _end(self) -> None:
        if self._stage is not None:
            self._console.print(
                f"{self._stage:<9} {time.perf_counter() - self._since:6.2f} s", highlight=False
            )
        self._stage = None


def summary(manifest: Manifest, destination: Path) -> dict[str, Any]:
    """What `--json` prints: the manifest without the curves and learned values."""
    content = asdict(manifest)
    content["activations"] = [{"layer": one.layer, "kind": one.kind} for one in manifest.activations]
    return {"file": str(destination), "bytes": destination.stat().st_size, **content}


def _print(manifest: Manifest, destination: Path) -> None:
    table = Table("output", "scale", "float32 model", "file", "allowed", "hardest samples")
    for output in manifest.parity.outputs:
        table.add_row(
            output.name,
            f"{output.scale:g}",
            f"{output.original_error:g}",
            f"{output.file_error:g}",
            f"{output.allowed:g}",
            output.worst_set,
        )
    console = Console()
    console.print(
        f"{destination}: {destination.stat().st_size} bytes, parity passed", highlight=False, markup=False
    )
    console.print(table)
    for record in manifest.fired:
        console.print(f"{record.rule} x {record.times}", highlight=False)


def _json_object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`--factory-kwargs` is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"`--factory-kwargs` is a `{type(found).__name__}`, expected a JSON object")
    return found


def _tolerance(text: str) -> tuple[str, float]:
    output, separator, share = text.rpartition("=")
    try:
        return output, float(share) if separator else float("nan")
    except ValueError as error:
        raise UsageError(f"`--tolerance {text}` cannot be read, expected OUTPUT=SHARE") from error


def status_of(error: ConversionError) -> int:
    """The exit status that tells this failure."""
    if isinstance(error, ParityError):
        return PARITY_FAILED
    return WRONG_USE if isinstance(error, UsageError) else FAILED


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line, and a hint below."""
    console = Console(stderr=True)
    try:
        app()
    except ConversionError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        if error.hint:
            console.print(f"hint: {error.hint}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(status_of(error))
