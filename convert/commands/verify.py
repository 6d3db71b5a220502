"""`adaptact verify`: checks an ONNX file against its model and its signature."""

import hashlib
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from adaptact.console import messages, print_error, results, table
from adaptact.exit_codes import PARITY_FAILED
from adaptact.files import write_text
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say
from adaptact.options import AsJson, Factory, FactoryKwargs, Quiet, SpokenLanguage, parse_json_object
from adaptact.output import print_json
from adaptact.progress import StageLines
from convert.commands.entry_point import prepare, run
from convert.commands.options import (
    AllowPickle,
    Inputs,
    MaxAccuracyDrop,
    MaxError,
    MinAgreement,
    Provider,
    RandomWeights,
    Report,
    Samples,
    StateKey,
    Tolerances,
    Weights,
    parse_tolerances,
    require_separate,
)
from convert.commands.printing import print_coverage, print_line, print_rounding
from convert.errors import SourceError, UsageError
from convert.manifest import signature
from convert.manifest.signed_file import read_bytes, require_signed_data
from convert.precision.budgets import BudgetOptions

if TYPE_CHECKING:
    from convert.evidence.inspection import OnnxFile
    from convert.recheck import RecheckOptions, RecheckResult

_WITHOUT_MODEL = ("files", "public_key", "report", "language", "quiet", "as_json")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def verify(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    files: Annotated[
        list[Path],
        typer.Argument(metavar="[MODEL] FILE", help="The trained model, and the ONNX file made from it."),
    ],
    samples: Samples = None,
    factory: Factory = None,
    factory_kwargs: FactoryKwargs = None,
    inputs: Inputs = None,
    weights: Weights = None,
    random_weights: RandomWeights = False,
    tolerance: Tolerances = None,
    provider: Provider = "cpu",
    max_error: MaxError = None,
    min_agreement: MinAgreement = None,
    max_accuracy_drop: MaxAccuracyDrop = None,
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file of the Ed25519 public key that must have signed the file.")
    ] = None,
    allow_pickle: AllowPickle = False,
    state_key: StateKey = None,
    report: Report = None,
    language: SpokenLanguage = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check that an ONNX file computes what its model computes, and that it is signed by the given key.

    Without a model, only the signature is checked. Inputs that you do not describe are taken from the file.
    Exit status: 0 fine, 1 failed (the signature too), 2 wrong use, 3 parity failed.
    """
    options_given = dict(locals())
    prepare()
    model, path = _split_files(files, public_key)
    if model is None:
        _require_none(options_given)
        if report is None and public_key is not None:
            _verify_signature(path, public_key, quiet=quiet, as_json=as_json)
            return
    require_separate(files, report)
    from convert.evidence.inspection import require_data  # noqa: PLC0415  # it loads onnx; --help need not wait
    from convert.model_io.inputs import parse_input  # noqa: PLC0415
    from convert.recheck import RecheckOptions  # noqa: PLC0415

    options = RecheckOptions(
        factory=factory,
        factory_kwargs=parse_json_object(factory_kwargs, "--factory-kwargs"),
        inputs=[parse_input(text) for text in inputs or []],
        samples=samples,
        tolerances=parse_tolerances(tolerance),
        provider=provider,
        budgets=BudgetOptions(max_error, min_agreement, max_accuracy_drop),
        allow_pickle=allow_pickle,
        state_key=state_key,
        weights=weights,
        random_weights=random_weights,
    )
    file = _read(path, model)
    require_data(file)
    signer = None if public_key is None else signature.verify(file.content, public_key)
    result = None if model is None else _recheck(model, file, options, messages(quiet=quiet or as_json))
    if report is not None:
        write_text(report, _render(file, result))
    if as_json:
        print_json(summarise(file, signer, result))
    else:
        _print(file, signer, result, quiet=quiet)
    if result is not None and result.failure is not None:
        sys.exit(PARITY_FAILED)


def _require_none(given: Mapping[str, object]) -> None:
    """Raises UsageError for an option that says how to compare a file with its model, which is not named."""
    for name, value in given.items():
        if name not in _WITHOUT_MODEL and value not in (None, False, [], "cpu"):
            raise UsageError(
                f"`--{name.replace('_', '-')}` says how to compare the file, and there is no model to "
                "compare it with",
                hint="name the model before the file, or leave the option out",
            )


def _verify_signature(path: Path, public_key: Path, *, quiet: bool, as_json: bool) -> None:
    """The file is the one that the key signed, and so are the weights beside it; without torch or onnx."""
    content = read_bytes(path)
    signer = signature.verify(content, public_key)
    require_signed_data(path, content)
    if as_json:
        digest = hashlib.sha256(content).hexdigest()
        print_json({"file": path.name, "digest": digest, "signed_by": signer})
    else:
        with results(quiet=quiet) as console:
            print_line(console, f"{path.name}: signed by key {signer}")


def _split_files(files: list[Path], public_key: Path | None) -> tuple[Path | None, Path]:
    """The model, where one was named, and the file."""
    if len(files) > 2:
        raise UsageError(f"{len(files)} files were named, expected a model and the ONNX file made from it")
    if len(files) == 1 and public_key is None:
        raise UsageError(
            f"nothing to check `{files[0]}` against",
            hint="name the model before it, or the key that should have signed it: --public-key key.pem",
        )
    return (files[0] if len(files) == 2 else None), files[-1]


def _read(path: Path, model: Path | None) -> "OnnxFile":
    from convert.evidence.inspection import read_onnx_file  # noqa: PLC0415

    try:
        return read_onnx_file(path)
    except SourceError as error:
        if model is None or model.suffix != ".onnx":
            raise
        raise SourceError(str(error), hint=f"name the model first: {path} {model}") from error


def _recheck(model: Path, file: "OnnxFile", options: "RecheckOptions", console: Console) -> "RecheckResult":
    from convert.recheck import recheck  # noqa: PLC0415

    with StageLines(console) as progress:
        return recheck(model, file, options, progress.on_stage)


def _render(file: "OnnxFile", result: "RecheckResult | None") -> str:
    from convert.evidence.collect import record_parity  # noqa: PLC0415
    from convert.evidence.report import render_report  # noqa: PLC0415

    if result is None:
        return render_report(file)
    parity = None if result.parity is None else record_parity(result.parity)
    return render_report(file, parity, None if result.gate is None else result.gate.record)


def summarise(file: "OnnxFile", signer: str | None, result: "RecheckResult | None") -> dict[str, Any]:
    """The result that `--json` prints; a number that is not finite, for which JSON has no word, is null."""
    from convert.evidence.collect import record_parity  # noqa: PLC0415

    summary: dict[str, Any] = {"file": file.name, "digest": file.digest, "signed_by": signer}
    if result is not None:
        parity = None if result.parity is None else record_parity(result.parity)
        summary |= {
            "passed": result.failure is None,
            "strength": None if parity is None else parity.strength,
            "failure": result.failure,
            "culprit": result.culprit,
            "same_source": result.same_source,
            "notes": result.notes,
            "parity": None if parity is None else asdict(parity),
            "gate": None if result.gate is None else asdict(result.gate.record),
        }
    return {name: _nullify(value) for name, value in summary.items()}


def _nullify(value: Any) -> Any:  # Any: JSON of any shape
    """The value with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _nullify(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nullify(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(file: "OnnxFile", signer: str | None, result: "RecheckResult | None", *, quiet: bool) -> None:
    from convert.evidence.collect import record_parity  # noqa: PLC0415
    from convert.evidence.set_tables import tabulate_sets  # noqa: PLC0415
    from convert.evidence.tables import tabulate_parity  # noqa: PLC0415

    with results(quiet=quiet) as console:
        if signer is not None:
            print_line(console, say("{file}: signed by key {key}", file=file.name, key=signer))
        if result is None:
            return
        if result.gate is not None:
            print_line(console, say("{file}: judged by its own gate, not by parity", file=file.name))
            print_rounding(console, result.gate.precision, result.gate.record, passed=result.failure is None)
        if result.parity is not None:
            parity = record_parity(result.parity)
            verdict = (
                say("{file}: parity passed; {criterion}")
                if result.failure is None
                else say("{file}: parity FAILED; {criterion}")
            )
            print_line(console, verdict.format(file=file.name, criterion=retell(parity.criterion)))
            console.print(table(*tabulate_parity(parity.outputs)))
            console.print(table(*tabulate_sets(parity.sets)))
            print_coverage(console, parity)
        if result.same_source is False:
            print_line(console, say("note: the file was made from another model file than this one"))
        for note in result.notes:
            print_line(console, say("note: {note}", note=retell(note)))
    if result.failure is not None:
        print_error(result.failure, result.culprit)


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    run(app)
