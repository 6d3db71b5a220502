"""`adaptact-export`: arguments in, exit status out."""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from convert.artefact.placement import Placement
from convert.commands.console import console, table
from convert.errors import ConversionError, DestinationError, ParityError, UsageError
from convert.manifest import Manifest
from convert.opset import DEFAULT_OPSET, OPSETS
from convert.parity.tolerance import tolerance_of

FINE, FAILED, WRONG_USE, PARITY_FAILED = 0, 1, 2, 3

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def export(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[
        Path,
        typer.Argument(help="A checkpoint of adaptive_act.save, a state_dict, .pt2, TorchScript, or .onnx."),
    ],
    destination: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    factory: Annotated[
        str | None, typer.Option(help="The code that builds the model: package.module:callable.")
    ] = None,
    factory_kwargs: Annotated[str | None, typer.Option(help="What to call it with, a JSON object.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="An input, as x:float32[N,3,32,32] or ids:int64[N,T]<30522; words are free sizes.",
        ),
    ] = None,
    samples: Annotated[Path | None, typer.Option(help="Your own samples: .npz, one array an input.")] = None,
    opset: Annotated[int, typer.Option(min=OPSETS[0], max=OPSETS[-1])] = DEFAULT_OPSET,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            help="OUTPUT=SHARE: accept this error too, as a share of the output's scale. Repeatable."
        ),
    ] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load a pickled module too, which runs code that it chose.")
    ] = False,
    external_data: Annotated[
        Placement, typer.Option(help="Weights beside the file: if it would be too large, always, never.")
    ] = "auto",
    sign: Annotated[
        Path | None, typer.Option(help="Sign the file with this Ed25519 private key, in PEM.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for a report on the file, as a page.")
    ] = None,
    triton: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for Triton's config.pbtxt of the model.")
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
    from convert.artefact.signing import PASSWORD  # noqa: PLC0415
    from convert.inputs import parse_input  # noqa: PLC0415
    from convert.pipeline import convert  # noqa: PLC0415

    if factory is not None or allow_pickle:
        sys.path.insert(0, str(Path.cwd()))  # where `python -m` too would find the user's own modules
    require_beside([source, destination], report, triton)
    progress = Progress(Console(stderr=True, quiet=as_json))
    try:
        manifest = convert(
            source,
            destination,
            factory=factory,
            factory_kwargs=json_object(factory_kwargs),
            inputs=[parse_input(text) for text in inputs or []],
            samples=samples,
            allow_pickle=allow_pickle,
            external_data=external_data,
            opset=opset,
            tolerances=dict(tolerance_of(text) for text in tolerance or []),
            sign=sign,
            password=os.environ.get(PASSWORD),
            started=progress.started,
        )
    finally:
        progress.finished()
    _write_beside(manifest, destination, report, triton)
    if as_json:
        sys.stdout.write(json.dumps(summary(manifest, destination), allow_nan=False) + "\n")
    else:
        _print(manifest, destination)


def _write_beside(manifest: Manifest, file: Path, report: Path | None, triton: Path | None) -> None:
    from convert.artefact.triton import config_pbtxt  # noqa: PLC0415
    from convert.evidence import report as page  # noqa: PLC0415  # it loads torch
    from convert.evidence.inspection import inspect  # noqa: PLC0415

    if report is not None:
        write_text(report, page.report(inspect(file)))
    if triton is not None:
        write_text(triton, config_pbtxt(manifest))


def require_beside(files: Sequence[Path], *beside: Path | None) -> None:
    """Raises UsageError where what is asked for besides would take a file's place, DestinationError where it
    cannot be written.
    """
    from convert.artefact.file import require_writable  # noqa: PLC0415  # it loads onnx

    taken = [file.resolve() for file in files]
    for path in beside:
        if path is not None:
            if path.resolve() in taken:
                raise UsageError(f"`{path}` is named for two things; write them to files of their own")
            taken.append(path.resolve())
            require_writable(path)


def write_text(path: Path, text: str) -> None:
    """The file holds the text, or what it held before. Raises DestinationError where it cannot be written."""
    from adaptive_act.atomic import replacing  # noqa: PLC0415  # it loads torch

    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DestinationError(f"cannot write `{path}`: {error.strerror or error}") from error


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
    from convert.evidence.tables import PARITY, parity_rows  # noqa: PLC0415  # it loads torch

    shown = console()
    shown.print(f"{destination}: {destination.stat().st_size} bytes, parity passed")
    shown.print(table(PARITY, parity_rows(manifest.parity.outputs)))
    for record in manifest.fired:
        shown.print(f"{record.rule} x {record.times}")


def json_object(text: str | None) -> dict[str, Any] | None:
    """What `--factory-kwargs` holds. Raises UsageError where it is no JSON object."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`--factory-kwargs` is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"`--factory-kwargs` is a `{type(found).__name__}`, expected a JSON object")
    return found


def status_of(error: ConversionError) -> int:
    """The exit status that tells this failure."""
    if isinstance(error, ParityError):
        return PARITY_FAILED
    return WRONG_USE if isinstance(error, UsageError) else FAILED


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line, and a hint below."""
    run(app)


def run(command: typer.Typer) -> None:
    """Ends the process with the command's exit status; an error is one line, and a hint below."""
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    try:
        command()
    except ConversionError as error:
        errors.print(f"error: {error}", style="red")
        if error.hint:
            errors.print(f"hint: {error.hint}")
        sys.exit(status_of(error))
