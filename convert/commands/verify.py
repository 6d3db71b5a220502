"""`adaptact-verify`: a file against its model and its signature; arguments in, exit status out."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from convert.commands.console import console, print_json, print_rounding, table
from convert.commands.ending import PARITY_FAILED, print_error, run
from convert.commands.environment import prepare
from convert.commands.options import (
    AllowPickle,
    AsJson,
    Factory,
    FactoryKwargs,
    Inputs,
    MaxAccuracyDrop,
    MaxError,
    MinAgreement,
    Provider,
    Report,
    Samples,
    Tolerances,
    json_object,
    tolerances,
)
from convert.commands.progress import Progress
from convert.commands.sidecar_files import require_beside, write_text
from convert.errors import SourceError, UsageError
from convert.manifest import signature
from convert.precision.budgets import Asked

if TYPE_CHECKING:
    from convert.evidence.inspection import Inspected
    from convert.recheck import Rechecked, Request

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


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
    tolerance: Tolerances = None,
    provider: Provider = "cpu",
    max_error: MaxError = None,
    min_agreement: MinAgreement = None,
    max_accuracy_drop: MaxAccuracyDrop = None,
    public_key: Annotated[
        Path | None, typer.Option(help="An Ed25519 public key in PEM, which must have signed the file.")
    ] = None,
    allow_pickle: AllowPickle = False,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Check an ONNX file: that it computes what the model computes, and that its signer's key is yours.

    With the file alone only its signature is checked. Inputs that are not described are the file's own.
    Exit status: 0 fine, 1 failed (the signature too), 2 wrong use, 3 parity failed.
    """
    prepare(factory, allow_pickle)
    model, file = _pair(files, public_key)
    require_beside(files, report)
    from convert.evidence.inspection import require_data  # noqa: PLC0415  # it loads onnx; --help need not wait
    from convert.model_io.inputs import parse_input  # noqa: PLC0415
    from convert.recheck import Request  # noqa: PLC0415

    request = Request(
        factory=factory,
        factory_kwargs=json_object(factory_kwargs),
        inputs=[parse_input(text) for text in inputs or []],
        samples=samples,
        tolerances=tolerances(tolerance),
        provider=provider,
        budgets=Asked(max_error, min_agreement, max_accuracy_drop),
        allow_pickle=allow_pickle,
    )
    if model is None and request != Request(inputs=[], tolerances={}):
        raise UsageError(
            "an option says how to compare the file, and there is no model to compare it with",
            hint="name the model before the file, or leave the option out",
        )
    inspected = _inspected(file, model)
    require_data(inspected)
    signed = None if public_key is None else signature.verify(inspected.content, public_key)
    rechecked = None
    if model is not None:
        rechecked = _rechecked(model, inspected, request, Console(stderr=True, quiet=as_json))
    if report is not None:
        write_text(report, _page(inspected, rechecked))
    if as_json:
        print_json(record(inspected, signed, rechecked))
    else:
        with console() as shown:
            _print(inspected, signed, rechecked, shown)
    if rechecked is not None and rechecked.failure is not None:
        sys.exit(PARITY_FAILED)


def _pair(files: list[Path], public_key: Path | None) -> tuple[Path | None, Path]:
    """The model, where one was named, and the file."""
    if len(files) > 2:
        raise UsageError(f"{len(files)} files were named, expected a model and the ONNX file made from it")
    if len(files) == 1 and public_key is None:
        raise UsageError(
            f"nothing to check `{files[0]}` against",
            hint="name the model before it, or the key that should have signed it: --public-key key.pem",
        )
    return (files[0] if len(files) == 2 else None), files[-1]


def _inspected(file: Path, model: Path | None) -> "Inspected":
    from convert.evidence.inspection import inspect  # noqa: PLC0415

    try:
        return inspect(file)
    except SourceError as error:
        if model is None or model.suffix != ".onnx":
            raise
        raise SourceError(str(error), hint=f"name the model first: {file} {model}") from error


def _rechecked(model: Path, file: "Inspected", request: "Request", errors: Console) -> "Rechecked":
    from convert.recheck import recheck  # noqa: PLC0415

    progress = Progress(errors)
    try:
        return recheck(model, file, request, progress.started)
    finally:
        progress.finished()


def _page(file: "Inspected", rechecked: "Rechecked | None") -> str:
    from convert.evidence.collect import measured  # noqa: PLC0415
    from convert.evidence.report import report  # noqa: PLC0415

    if rechecked is None:
        return report(file)
    anew = None if rechecked.parity is None else measured(rechecked.parity)
    return report(file, anew, None if rechecked.gate is None else rechecked.gate.record)


def record(file: "Inspected", signed: str | None, rechecked: "Rechecked | None") -> dict[str, Any]:
    """What `--json` prints; a number that is not finite, for which JSON has no word, is null."""
    from convert.evidence.collect import measured  # noqa: PLC0415

    said: dict[str, Any] = {"file": file.name, "digest": file.digest, "signed_by": signed}
    if rechecked is not None:
        said |= {
            "passed": rechecked.failure is None,
            "failure": rechecked.failure,
            "culprit": rechecked.culprit,
            "same_source": rechecked.same_source,
            "parity": None if rechecked.parity is None else asdict(measured(rechecked.parity)),
            "gate": None if rechecked.gate is None else asdict(rechecked.gate.record),
        }
    return {name: _finite(value) for name, value in said.items()}


def _finite(value: Any) -> Any:  # Any: JSON of any shape
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value - value != 0 else value


def _print(file: "Inspected", signed: str | None, rechecked: "Rechecked | None", shown: Console) -> None:
    from convert.evidence.collect import measured  # noqa: PLC0415
    from convert.evidence.tables import PARITY, SETS, parity_rows, set_rows  # noqa: PLC0415

    if signed is not None:
        shown.print(f"{file.name}: signed by key {signed}")
    if rechecked is None:
        return
    verdict = "passed" if rechecked.failure is None else "FAILED"
    if rechecked.gate is not None:
        shown.print(f"{file.name}: judged by its own gate, not by parity")
        print_rounding(shown, rechecked.gate.precision, rechecked.gate.record, verdict)
    if rechecked.parity is not None:
        found = measured(rechecked.parity)
        shown.print(f"{file.name}: parity {verdict}; {found.criterion}")
        shown.print(table(PARITY, parity_rows(found.outputs)))
        shown.print(table(SETS, set_rows(found.sets)))
    if rechecked.same_source is False:
        shown.print("note: the file was made from another model file than this one")
    if rechecked.failure is not None:
        print_error(rechecked.failure, rechecked.culprit)


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line, and a hint below."""
    run(app)
