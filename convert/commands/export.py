"""`adaptact-export`: arguments in, exit status out."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from convert.artefact.placement import Placement
from convert.commands import options
from convert.commands.console import console, print_json, print_rounding, table
from convert.commands.ending import run
from convert.commands.environment import prepare
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
from convert.commands.sidecar_files import require_beside, write_text
from convert.errors import DestinationError
from convert.manifest.manifest import Manifest
from convert.precision.budgets import Asked
from convert.sources.opset import DEFAULT_OPSET, OPSETS

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
    written unless it is 0, or what is written or printed besides was all that failed.
    """
    prepare(factory, allow_pickle)
    # Imported here so that --help and a wrong option answer at once: torch takes two seconds.
    from convert.artefact.signing import PASSWORD  # noqa: PLC0415
    from convert.commands.environment import give_back  # noqa: PLC0415
    from convert.model_io.inputs import parse_input  # noqa: PLC0415
    from convert.pipeline import convert  # noqa: PLC0415

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
            tolerances=options.tolerances(tolerance),
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
    try:
        _write_beside(manifest, destination, report, triton)
        if as_json:
            print_json(summary(manifest, destination))
        else:
            _print(manifest, destination)
    except DestinationError as error:
        raise DestinationError(str(error), hint=f"`{destination}` itself is written") from error


def _write_beside(manifest: Manifest, file: Path, report: Path | None, triton: Path | None) -> None:
    from convert.artefact.triton import config_pbtxt  # noqa: PLC0415
    from convert.evidence import report as page  # noqa: PLC0415  # it loads torch
    from convert.evidence.inspection import inspect  # noqa: PLC0415

    if report is not None:
        write_text(report, page.report(inspect(file)))
    if triton is not None:
        write_text(triton, config_pbtxt(manifest))


def summary(manifest: Manifest, destination: Path) -> dict[str, Any]:
    """What `--json` prints: the manifest without the curves and learned values."""
    content = asdict(manifest)
    content["activations"] = [{"layer": one.layer, "kind": one.kind} for one in manifest.activations]
    return {"file": str(destination), "bytes": destination.stat().st_size, **content}


def _print(manifest: Manifest, destination: Path) -> None:
    from convert.evidence.tables import PARITY, parity_rows, tuned  # noqa: PLC0415  # it loads torch

    of = "" if manifest.rounding is None else " before it was rounded"
    with console() as shown:
        shown.print(f"{destination}: {destination.stat().st_size} bytes, parity{of} passed")
        shown.print(table(PARITY, parity_rows(manifest.parity.outputs)))
        if manifest.rounding is not None:
            print_rounding(shown, manifest.precision, manifest.rounding)
        for record in manifest.fired:
            shown.print(f"{record.rule} x {record.times}")
        if manifest.tuning is not None:
            shown.print(f"tuned: {tuned(manifest.tuning)}")


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line, and a hint below."""
    run(app)
