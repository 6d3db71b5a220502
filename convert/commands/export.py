"""`adaptact-export`: arguments in, exit status out."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from convert.artefact.placement import Placement
from convert.commands import options
from convert.commands.console import console, print_rounding, table
from convert.commands.options import (
    AllowPickle,
    AsJson,
    Batch,
    Bits,
    Calibration,
    Factory,
    FactoryKwargs,
    Inputs,
    MaxAccuracyDrop,
    MaxError,
    MinAgreement,
    NoTuneCache,
    Provider,
    Report,
    Samples,
    Threads,
    Tolerances,
    Tune,
    TuneSeconds,
)
from convert.commands.progress import Progress
from convert.errors import ConversionError, DestinationError, ParityError, UsageError
from convert.manifest import Manifest
from convert.opset import DEFAULT_OPSET, OPSETS
from convert.parity.tolerance import tolerance_of
from convert.precision.budgets import Asked

FINE, FAILED, WRONG_USE, PARITY_FAILED = 0, 1, 2, 3

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def export(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[
        Path,
        typer.Argument(help="A checkpoint of adaptive_act.save, a state_dict, .pt2, TorchScript, or .onnx."),
    ],
    destination: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    factory: Factory = None,
    factory_kwargs: FactoryKwargs = None,
    inputs: Inputs = None,
    samples: Samples = None,
    opset: Annotated[int, typer.Option(min=OPSETS[0], max=OPSETS[-1])] = DEFAULT_OPSET,
    tolerance: Tolerances = None,
    allow_pickle: AllowPickle = False,
    external_data: Annotated[
        Placement, typer.Option(help="Weights beside the file: if it would be too large, always, never.")
    ] = "auto",
    provider: Provider = "cpu",
    tune: Tune = False,
    threads: Threads = None,
    batch: Batch = None,
    tune_seconds: TuneSeconds = None,
    no_tune_cache: NoTuneCache = False,
    precision: Bits = "fp32",
    calibration: Calibration = None,
    max_error: MaxError = None,
    min_agreement: MinAgreement = None,
    max_accuracy_drop: MaxAccuracyDrop = None,
    sign: Annotated[
        Path | None, typer.Option(help="Sign the file with this Ed25519 private key, in PEM.")
    ] = None,
    report: Report = None,
    triton: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for Triton's config.pbtxt of the model.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained PyTorch model as an ONNX file that computes the same, and prove it.

    Exit status: 0 fine, 1 failed, 2 wrong use, 3 parity, or the gate of fewer bits, failed. Nothing is
    written unless it is 0.
    """
    # OpenMP's threads wait for each other by turning, which on cores that others use too makes parity six
    # times as slow (ResNet-18: 28 s instead of 4.5 s, two exports on two cores). Torch reads it as it loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here so that --help and a wrong option answer at once: torch takes two seconds.
    from convert.artefact.signing import PASSWORD  # noqa: PLC0415
    from convert.inputs import parse_input  # noqa: PLC0415
    from convert.memory import give_back  # noqa: PLC0415
    from convert.pipeline import convert  # noqa: PLC0415

    if factory is not None or allow_pickle:
        sys.path.insert(0, str(Path.cwd()))  # where `python -m` too would find the user's own modules
    require_beside([source, destination], report, triton)
    tuning = options.tuning(tune, provider, threads, batch, tune_seconds, cached=not no_tune_cache)
    progress = Progress(Console(stderr=True, quiet=as_json), tuning.seconds if tuning is not None else 0.0)

    def started(stage: str) -> None:
        progress.started(stage)
        if stage == "fold":  # the model has run: from here on large blocks are weights, copied stage by stage
            give_back()

    try:
        manifest = convert(
            source,
            destination,
            factory=factory,
            factory_kwargs=options.json_object(factory_kwargs),
            inputs=[parse_input(text) for text in inputs or []],
            samples=samples,
            allow_pickle=allow_pickle,
            external_data=external_data,
            opset=opset,
            tolerances=dict(tolerance_of(text) for text in tolerance or []),
            provider=provider,
            tuning=tuning,
            precision=precision,
            calibration=calibration,
            budgets=Asked(max_error, min_agreement, max_accuracy_drop),
            sign=sign,
            password=os.environ.get(PASSWORD),
            started=started,
            told=progress.told,
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


def summary(manifest: Manifest, destination: Path) -> dict[str, Any]:
    """What `--json` prints: the manifest without the curves and learned values."""
    content = asdict(manifest)
    content["activations"] = [{"layer": one.layer, "kind": one.kind} for one in manifest.activations]
    return {"file": str(destination), "bytes": destination.stat().st_size, **content}


def _print(manifest: Manifest, destination: Path) -> None:
    from convert.evidence.tables import PARITY, parity_rows, tuned  # noqa: PLC0415  # it loads torch

    shown = console()
    of = "" if manifest.rounding is None else " before it was rounded"
    shown.print(f"{destination}: {destination.stat().st_size} bytes, parity{of} passed")
    shown.print(table(PARITY, parity_rows(manifest.parity.outputs)))
    if manifest.rounding is not None:
        print_rounding(shown, manifest.precision, manifest.rounding)
    for record in manifest.fired:
        shown.print(f"{record.rule} x {record.times}")
    if manifest.tuning is not None:
        shown.print(f"tuned: {tuned(manifest.tuning)}")


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
