"""`adaptact describe`: what a served model knows of itself besides its graph, shown and added."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from adaptact.console import print_written, results, table
from adaptact.files import replace_file, write_text
from adaptact.options import AsJson, Quiet
from adaptact.output import print_json
from convert.artefact.destination import require_writable
from convert.artefact.metadata_entries import replace_entries
from convert.artefact.signing import PASSWORD, make_signer
from convert.artefact.tokenizer_file import name_tokenizer_file
from convert.commands.description_options import (
    Classes,
    PreprocessingOption,
    TokenizerOption,
    read_classes,
    read_columns,
    read_preprocessing,
    read_tokenizer,
)
from convert.commands.entry_point import run
from convert.commands.printing import print_line
from convert.errors import DestinationError, UsageError
from convert.manifest.baseline import BaselineRecord, parse_baseline
from convert.manifest.description import Description, find_misfit
from convert.manifest.entries import BASELINE_KEY, DESCRIPTION_KEY
from convert.manifest.model_file import ModelContent, read_model_content
from convert.manifest.signature import read_signer
from convert.sources.file_description import read_description

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_SHOWN = 5  # of the names of classes
MOST_REMARKS = 5


@app.command()
def describe(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[Path, typer.Argument(help="ONNX file.")],
    classes: Classes = None,
    preprocessing: PreprocessingOption = None,
    columns: Annotated[
        str | None,
        typer.Option(help="File of the names of a table's columns, one a line, for a model with one input."),
    ] = None,
    tokenizer: TokenizerOption = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help=".npz file of real data, by input; a server compares live values with it."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put what the options say into the file.")] = False,
    sign: Annotated[
        Path | None, typer.Option(help="With --write: PEM file of the private key to sign the file with.")
    ] = None,
    drop_signature: Annotated[
        bool, typer.Option("--drop-signature", help="With --write: a signed file is unsigned afterwards.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what an ONNX file says of itself besides its graph, and add to it.

    With options, what the file would say; --write puts it there, and leaves the graph as it is byte for byte.
    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    given = Description(read_classes(classes), read_columns(columns), read_preprocessing(preprocessing))
    text = read_tokenizer(tokenizer)
    removed = {"classes": classes, "columns": columns, "preprocessing": preprocessing}
    without = {name for name, value in removed.items() if value == "none"}
    if (sign is not None or drop_signature) and not write:
        raise UsageError("the signature stays as it is, since nothing is written", hint="add --write")
    file = read_model_content(source)
    own = read_description(file.metadata, file.manifest)
    merged = replace(given.over(own), **dict.fromkeys(without))
    _require_fitting(file, given)
    entries = {} if merged == own else {DESCRIPTION_KEY: merged.to_json()}
    if baseline is not None:
        entries[BASELINE_KEY] = _measure_baseline(source, baseline)
    if write:
        if not entries and text is None:
            raise UsageError(
                "there is nothing to write", "say it: --classes, --preprocessing, --columns, --baseline"
            )
        _write(file, entries, text, sign, drop_signature)
    if as_json:
        print_json(summarise(file, merged, entries))
    elif not quiet:
        _print(file, merged, entries, hint=not write and bool(entries))
    if write:
        print_written(source)


def _require_fitting(file: ModelContent, given: Description) -> None:
    for part in fields(given):
        only = Description(**{part.name: getattr(given, part.name)})
        misfit = find_misfit(only, file.inputs, file.outputs)
        if misfit is not None:
            raise UsageError(f"`{file.name}`: {misfit}")


def _measure_baseline(path: Path, samples: Path) -> str:
    from convert.evidence.file_baseline import measure_baseline  # noqa: PLC0415  # it loads onnxruntime
    from convert.evidence.inspection import read_onnx_file  # noqa: PLC0415  # it loads onnx

    return measure_baseline(read_onnx_file(path), samples).to_json()


def find_baseline(file: ModelContent, entries: Mapping[str, str]) -> BaselineRecord | None:
    """The file's baseline, once it has these entries."""
    text = {**file.metadata, **entries}.get(BASELINE_KEY)
    if text is None:
        return None if file.manifest is None else file.manifest.baseline
    return parse_baseline(text)


def _write(
    file: ModelContent,
    entries: Mapping[str, str],
    tokenizer: str | None,
    key: Path | None,
    drop_signature: bool,
) -> None:
    signer = read_signer(file.content)
    if signer is not None and key is None and not drop_signature:
        raise UsageError(
            f"`{file.name}` is signed by key {signer[:16]}…, and would not be what that key signed",
            hint="sign it anew: --sign key.pem; or leave it unsigned: --drop-signature",
        )
    sign = make_signer(key, os.environ.get(PASSWORD))
    require_writable(file.path)
    content = sign(replace_entries(file.content, entries))
    if tokenizer is not None:
        write_text(name_tokenizer_file(file.path), tokenizer)
    try:
        with replace_file(file.path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise DestinationError(f"cannot write `{file.path}`: {error.strerror or error}") from error


def summarise(
    file: ModelContent, description: Description, entries: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The result that `--json` prints."""
    preprocessing = description.preprocessing
    tokenizer = find_tokenizer(file.path)
    baseline = find_baseline(file, entries or {})
    return {
        "file": file.name,
        "inputs": [{"name": name, "shape": list(shape)} for name, shape in file.inputs],
        "outputs": [{"name": name, "shape": list(shape)} for name, shape in file.outputs],
        "classes": None if description.classes is None else list(description.classes),
        "columns": None if description.columns is None else list(description.columns),
        "preprocessing": None if preprocessing is None else preprocessing.to_json(),
        "tokenizer": None if tokenizer is None else tokenizer.name,
        "baseline_rows": 0 if baseline is None else baseline.rows,
        "baseline_remarks": [] if baseline is None else list(baseline.list_remarks()),
        "config": list_config_keys(file.path),
    }


def find_tokenizer(path: Path) -> Path | None:
    """The tokenizer that a server finds for the file; None where there is none."""
    places = [path.with_name(f"{path.stem}.tokenizer.json")]
    if path.name == "model.onnx":  # it has a folder of its own
        places += [path.with_name("tokenizer.json"), path.parent.parent / "tokenizer.json"]
    return next((file for file in places if file.is_file()), None)


def list_config_keys(path: Path) -> list[str]:
    """The keys of the `config.toml` of the model's folder that describe it, and go before the file's own."""
    config = path.parent.parent / "config.toml"
    if path.name != "model.onnx" or not config.is_file() or config.stat().st_size > 2**20:
        return []
    try:
        content = tomllib.loads(config.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return []
    return [key for key in (*Description.__dataclass_fields__, "outputs", "tokenizer") if key in content]


def _print(file: ModelContent, description: Description, entries: Mapping[str, str], *, hint: bool) -> None:
    rows = [(f"input {name}", _show_shape(shape)) for name, shape in file.inputs]
    rows += [(f"output {name}", _show_shape(shape)) for name, shape in file.outputs]
    rows += list(_describe_rows(file, description).items())
    baseline = find_baseline(file, entries)
    remarks = [] if baseline is None else list(baseline.list_remarks())
    counted = "none, so that drift is not seen: --baseline" if baseline is None else f"{baseline.rows} rows"
    rows.append(("baseline", counted))
    with results() as console:
        console.print(table(("what", "value"), rows))
        for remark in remarks[:MOST_REMARKS]:
            print_line(console, f"baseline: {remark}")
        if len(remarks) > MOST_REMARKS:
            print_line(console, f"baseline: {len(remarks) - MOST_REMARKS} more such remarks, with --json")
        keys = list_config_keys(file.path)
        if keys:
            print_line(console, f"config.toml of the model's folder goes before: {', '.join(keys)}")
        if hint:
            print_line(console, "nothing is written; add --write to put this into the file")


def _describe_rows(file: ModelContent, description: Description) -> dict[str, str]:
    """What is described, and what is not and might be, by the shapes and names of the inputs."""
    inputs = file.inputs
    ranks = {len(shape) for _, shape in inputs}
    rows = {"classes": _show_names(description.classes) or "not named: --classes labels.txt"}
    if description.columns is not None or (len(inputs) == 1 and ranks == {2}):
        rows["columns"] = _show_names(description.columns) or "not named: --columns columns.txt"
    preprocessing = description.preprocessing
    if preprocessing is not None:
        steps = ", ".join(f"{key} {value}" for key, value in preprocessing.to_json().items())
        rows["preprocessing"] = steps or "resized to the input, and divided by 255"
    elif 4 in ranks:
        rows["preprocessing"] = "not described, so that images are refused: --preprocessing"
    tokenizer = find_tokenizer(file.path)
    if tokenizer is not None or "input_ids" in dict(inputs):
        rows["tokenizer"] = (
            "none beside it, so that texts are refused" if tokenizer is None else tokenizer.name
        )
    return rows


def _show_names(names: Sequence[str] | None) -> str:
    shown = "; ".join((names or ())[:_SHOWN])  # a name may have a comma
    more = f" and {len(names) - _SHOWN} more" if names and len(names) > _SHOWN else ""
    return f"{len(names)}: {shown}{more}" if names else ""


def _show_shape(shape: Any) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    run(app)
