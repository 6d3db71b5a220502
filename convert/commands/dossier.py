"""`adaptact dossier`: everything known of a model in one document for an auditor."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptact.console import print_written
from adaptact.errors import UsageError
from adaptact.files import require_apart, require_kind, write_text
from adaptact.languages.spoken import speak
from adaptact.options import AsJson, Quiet, SpokenLanguage
from adaptact.output import print_json, print_lines
from convert.commands.entry_point import prepare, run

if TYPE_CHECKING:
    from convert.dossier.fields import Subject

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def dossier(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[Path | None, typer.Argument(help="ONNX file.")] = None,
    output: Annotated[Path | None, typer.Argument(dir_okay=False, help="HTML file to write.")] = None,
    study: Annotated[Path | None, typer.Option(help="Folder of a study, or its results.json.")] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(help="JSON file of `adaptact experiment report NAME --output FILE.json`."),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(help="Intended purpose as a text, or a .toml or .yaml file of answers (--template)."),
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="Print a file that asks what only people can answer, and end.")
    ] = False,
    language: SpokenLanguage = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Join what is known of a model into one document, mapped to what auditors ask for, with what is missing.

    It is mapped to Annex IV of the EU's AI Act and to Japan's AI Guidelines for Business, and states no
    conformity with them. Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    if template:
        from convert.dossier.answers import make_template  # noqa: PLC0415

        print_lines(*make_template().splitlines())
        return
    if source is None or output is None:
        raise UsageError("a dossier needs two files", "adaptact dossier model.onnx dossier.html")
    require_apart(output, (source, study, experiment, purpose))
    require_kind(output, (".html", ".htm"))
    prepare()
    subject = _read(source, study, experiment, purpose)
    _write(subject, output)
    if as_json:
        print_json(summarise(subject, output))
    elif not quiet:
        print_written(output)


def _read(source: Path, study: Path | None, experiment: Path | None, purpose: str | None) -> "Subject":
    from convert.dossier.answers import read_answers  # noqa: PLC0415  # --help need not wait for onnx
    from convert.dossier.experiment import read_experiment  # noqa: PLC0415
    from convert.dossier.fields import Subject  # noqa: PLC0415
    from convert.dossier.study import read_study  # noqa: PLC0415
    from convert.evidence.inspection import read_onnx_file  # noqa: PLC0415

    return Subject(
        read_onnx_file(source),
        read_answers(purpose),
        None if study is None else read_study(study),
        None if experiment is None else read_experiment(experiment),
    )


def _write(subject: "Subject", output: Path) -> None:
    from convert.dossier.report import render_dossier  # noqa: PLC0415

    write_text(output, render_dossier(subject))


def summarise(subject: "Subject", output: Path) -> dict[str, Any]:
    """The result that `--json` prints: each field, whether it is filled, and who can fill it, in English."""
    from convert.dossier.fields import list_entries  # noqa: PLC0415

    with speak("en"):
        fields = [asdict(entry) for entry in list_entries(subject)]
    return {"dossier": str(output), "digest": subject.file.digest, "fields": fields}


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    run(app)
