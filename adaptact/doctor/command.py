"""`adaptact doctor`: arguments in, exit status out: 0 fine, 1 something does not work, 2 wrong use."""

from typing import Annotated

import typer
from rich.console import Console

from adaptact import exit_codes
from adaptact.console import messages, print_line, results, table
from adaptact.doctor.examination import Examination, ExaminedExtra, ExaminedPackage, examine
from adaptact.exit_codes import FAILED
from adaptact.installation import install_line
from adaptact.options import AsJson, Quiet
from adaptact.output import print_json

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def doctor(
    extras: Annotated[
        list[str] | None, typer.Argument(help="Extras that must be ready, as convert or serve.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what is missing, and which providers of ONNX Runtime work here.

    Exit status: 0 fine, 1 something that is installed does not work or an extra named here is not complete,
    2 wrong use.
    """
    with messages(quiet=quiet or as_json).status("loading every package ..."):
        found = examine(extras or [])
    if as_json:
        print_json(found.as_record())
    else:
        with results(quiet=quiet) as console:
            _print(found, console)
    if found.problems:
        raise typer.Exit(FAILED)


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    exit_codes.run(app, {})


def _print(found: Examination, console: Console) -> None:
    print_line(console, f"adaptact {found.version} from {found.origin}")
    print_line(console, found.python)
    header = ("package", "installed", "supported", "")
    console.print(table(header, [_package_row(package) for package in found.packages]))
    console.print(table(("extra", "state"), [_extra_row(extra) for extra in found.extras if extra.name]))
    if any(extra.missing for extra in found.extras):
        console.print(f"to install an extra: {install_line('EXTRA')}", soft_wrap=True)  # to be copied whole
    if found.providers:
        rows = [(name, "works" if error is None else error) for name, error in found.providers.items()]
        console.print(table(("provider", ""), rows))
    console.print(table(("machine", ""), list(found.machine.items())))
    for note in found.notes:
        print_line(console, f"note: {note}")
    for problem in found.problems:
        print_line(console, f"PROBLEM: {problem}")
    if not found.problems:
        print_line(console, "all that is installed works")


def _package_row(package: ExaminedPackage) -> tuple[str, ...]:
    state = "missing" if package.installed is None else "PROBLEM" if package.problem else "works"
    return (package.name, package.installed or "–", package.supported or "any", state)


def _extra_row(extra: ExaminedExtra) -> tuple[str, str]:
    faults = [
        *(f"{name} does not work" for name in extra.unusable),
        *(f"no {name}" for name in extra.missing),
    ]
    return (extra.name, ", ".join(faults) or "ready")
