"""`adaptact export`: a trained model as an ONNX file, with proof of parity."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from adaptact.console import messages, results
from adaptact.errors import OutputError
from adaptact.files import require_apart, require_kind, write_text
from adaptact.memory import release_large_blocks
from adaptact.options import AsJson, Factory, FactoryKwargs, Quiet, SpokenLanguage, parse_json_object
from adaptact.output import print_json
from adaptact.progress import StageLines
from convert.artefact.placement import Placement
from convert.artefact.signing import PASSWORD
from convert.commands.description_options import (
    Classes,
    OutputNames,
    PreprocessingOption,
    TokenizerOption,
    parse_given,
)
from convert.commands.entry_point import prepare, run
from convert.commands.options import (
    AllowPickle,
    Batch,
    Calibration,
    Front,
    FrontSeconds,
    Inputs,
    MaxAccuracyDrop,
    MaxError,
    MeasuredProvider,
    MinAgreement,
    NoTuneCache,
    PrecisionOption,
    RandomWeights,
    Report,
    Samples,
    StateKey,
    Threads,
    Tolerances,
    Tune,
    TuneSeconds,
    Weights,
    parse_front,
    parse_tolerances,
    parse_tuning,
    require_separate,
)
from convert.commands.printing import print_export
from convert.errors import DestinationError
from convert.manifest.manifest import Manifest
from convert.precision.budgets import BudgetOptions, Precision
from convert.sources.opset import DEFAULT_OPSET, OPSETS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def export(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint of adaptive_act.save, state_dict, safetensors, .pt2, TorchScript or .onnx file; "
            "or a model of a library: timm:NAME, torchvision:NAME, hf:FOLDER."
        ),
    ],
    destination: Annotated[Path, typer.Argument(help="ONNX file to write.")],
    factory: Factory = None,
    factory_kwargs: FactoryKwargs = None,
    inputs: Inputs = None,
    weights: Weights = None,
    random_weights: RandomWeights = False,
    classes: Classes = None,
    preprocessing: PreprocessingOption = None,
    output_names: OutputNames = None,
    tokenizer: TokenizerOption = None,
    samples: Samples = None,
    opset: Annotated[
        int | None,
        typer.Option(
            min=OPSETS[0],
            max=OPSETS[-1],
            help=f"Opset of the file. Default: {DEFAULT_OPSET}, or what the precision needs.",
        ),
    ] = None,
    tolerance: Tolerances = None,
    allow_pickle: AllowPickle = False,
    state_key: StateKey = None,
    external_data: Annotated[
        Placement,
        typer.Option(help="Store weights in a file beside it: auto (if it is too large), always or never."),
    ] = "auto",
    provider: MeasuredProvider = "cpu",
    tune: Tune = False,
    threads: Threads = None,
    batch: Batch = None,
    tune_seconds: TuneSeconds = None,
    no_tune_cache: NoTuneCache = False,
    precision: PrecisionOption = "fp32",
    calibration: Calibration = None,
    max_error: MaxError = None,
    min_agreement: MinAgreement = None,
    max_accuracy_drop: MaxAccuracyDrop = None,
    front: Front = None,
    front_seconds: FrontSeconds = None,
    sign: Annotated[
        Path | None, typer.Option(help="PEM file of the Ed25519 private key to sign with.")
    ] = None,
    report: Report = None,
    triton: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="File for Triton's configuration of the model (config.pbtxt)."),
    ] = None,
    language: SpokenLanguage = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a trained PyTorch model as an ONNX file that computes the same, and prove it.

    Exit status: 0 fine, 1 failed, 2 wrong use, 3 parity or the gate of a lower precision failed. The ONNX
    file is written only if the status is 0, or if only an extra file or the printed result failed.
    """
    prepare()
    # Imported here so that --help and a wrong option answer at once: torch takes two seconds.
    from convert.model_io.inputs import parse_input  # noqa: PLC0415
    from convert.pipeline import convert  # noqa: PLC0415

    read = (weights, classes, preprocessing, tokenizer, samples, calibration, sign)
    _require_places(source, destination, (report, triton), read)
    given = parse_given(classes, preprocessing, output_names, tokenizer)
    timed = parse_front(front, front_seconds, provider, threads, batch)
    where = (threads, batch) if tune or timed is None else (None, None)  # else they are the front's alone
    tuning = parse_tuning(tune, provider, *where, tune_seconds, cached=not no_tune_cache)
    limits = {"tune": tuning.seconds} if tuning is not None else None
    with StageLines(messages(quiet=quiet or as_json), limits, _list_stages(tune, precision)) as progress:
        manifest = convert(
            source,
            destination,
            factory=factory,
            factory_kwargs=parse_json_object(factory_kwargs, "--factory-kwargs"),
            inputs=[parse_input(text) for text in inputs or []],
            weights=weights,
            random_weights=random_weights,
            given=given,
            samples=samples,
            allow_pickle=allow_pickle,
            state_key=state_key,
            external_data=external_data,
            opset=opset,
            tolerances=parse_tolerances(tolerance),
            provider=provider,
            tuning=tuning,
            precision=precision,
            calibration=calibration,
            budgets=BudgetOptions(max_error, min_agreement, max_accuracy_drop),
            front=timed,
            sign=sign,
            password=os.environ.get(PASSWORD),
            on_stage=partial(_begin_stage, progress),
            on_progress=progress.on_progress,
        )
    with _name_written(destination):
        _write_extra_files(manifest, destination, report, triton)
        _show(manifest, destination, report, quiet=quiet, as_json=as_json)


@contextlib.contextmanager
def _name_written(destination: Path) -> Iterator[None]:
    """An error of the block says that the ONNX file itself is written."""
    try:
        yield
    except (DestinationError, OutputError) as error:
        hints = filter(None, (error.hint, f"`{destination}` itself is written"))
        raise OutputError(str(error), hint="; ".join(hints)) from error


def _require_places(
    source: Path,
    destination: Path,
    extra_files: tuple[Path | None, ...],
    read: tuple[Path | str | None, ...],
) -> None:
    """Raises UsageError where a file that is written would replace another one, or is of another kind."""
    require_separate([source, destination], *extra_files)
    for written in filter(None, (destination, *extra_files)):
        require_apart(written, read)
    require_kind(destination, (".onnx",))


def _begin_stage(progress: StageLines, stage: str) -> None:
    progress.on_stage(stage)
    if stage == "fold":  # the model has run: from here on large blocks are copies of weights
        release_large_blocks()


def _show(manifest: Manifest, destination: Path, report: Path | None, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        print_json(summarise(manifest, destination))
    else:
        with results(quiet=quiet) as console:
            print_export(console, manifest, destination, report)


def _list_stages(tune: bool, precision: Precision) -> list[str]:
    from convert.pipeline import STAGES  # noqa: PLC0415  # it loads torch
    from convert.writing import QUANTISE  # noqa: PLC0415

    *stages, last = (stage for stage in STAGES if tune or stage != "tune")
    return [*stages, *([] if precision == "fp32" else [QUANTISE]), last]


def _write_extra_files(manifest: Manifest, file: Path, report: Path | None, triton: Path | None) -> None:
    from convert.artefact.triton import render_config  # noqa: PLC0415
    from convert.evidence.inspection import read_onnx_file  # noqa: PLC0415
    from convert.evidence.report import render_report  # noqa: PLC0415  # it loads torch

    if report is not None:
        write_text(report, render_report(read_onnx_file(file)))
    if triton is not None:
        write_text(triton, render_config(manifest))


def summarise(manifest: Manifest, destination: Path) -> dict[str, Any]:
    """The result that `--json` prints: the manifest without the curves and learned values."""
    content = asdict(manifest)
    content["activations"] = [{"layer": record.layer, "kind": record.kind} for record in manifest.activations]
    size, strength = destination.stat().st_size, manifest.parity.strength
    return {"file": str(destination), "bytes": size, "strength": strength, **content}


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    run(app)
