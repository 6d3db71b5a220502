"""`adaptact swap`: a model whose plain activations learn their shape, as a checkpoint to train and export."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptact import exit_codes
from adaptact.console import results
from adaptact.errors import UsageError
from adaptact.files import require_apart, require_kind
from adaptact.options import AsJson, Factory, FactoryKwargs, Quiet, parse_json_object, stay_offline
from adaptact.output import print_json
from adaptact.suggestions import suggest
from adaptact.text import escape_line
from adaptive_act.errors import AdaptiveActError

if TYPE_CHECKING:
    from torch import nn

    from adaptive_act.activation import Activation
    from adaptive_act.libraries.library_model import DescribedModel
    from adaptive_act.swapping.report import Report

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def swap(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    source: Annotated[
        str,
        typer.Argument(
            help="timm:NAME, torchvision:NAME, hf:FOLDER, a checkpoint, or a state_dict with --factory."
        ),
    ],
    destination: Annotated[Path, typer.Argument(help="Checkpoint to write, as model.pt.")],
    to: Annotated[str, typer.Option("--to", help="The activation to put in, as PReLU, PELU or Swish.")],
    plain: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="Plain activation to replace, as ReLU. Repeatable. Default: all that --to equals."
        ),
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", help="Only layers of this name, as 'layer1.*'. Repeatable.")
    ] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many, the first that run.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only so many, the last that run.")] = None,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="Learn a shape for each channel, not one a layer.")
    ] = False,
    preserve: Annotated[
        bool,
        typer.Option(
            "--preserve/--no-preserve",
            help="Keep the outputs, or start each at its own values, and change them.",
        ),
    ] = True,
    weights: Annotated[
        Path | None, typer.Option(help="For a library's model: the weights, a .safetensors or state_dict.")
    ] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="For a library's model, to try things out.")
    ] = False,
    factory: Factory = None,
    factory_kwargs: FactoryKwargs = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="Input, as x:float32[N,3,32,32]. Repeatable.")
    ] = None,
    state_key: Annotated[
        str | None, typer.Option(help="Which state_dict of several in the file to take: its key.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Replace plain activations of a model by ones that learn their shape.

    Its outputs stay the same, and are compared on an example before and after. The checkpoint is what
    adaptive_act.load, `adaptact export` and `adaptact inspect` read.

    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    stay_offline()
    # Imported here so that --help and a wrong option answer at once: torch takes two seconds.
    from adaptive_act.commands.source import make_example, parse_inputs, read_source  # noqa: PLC0415
    from adaptive_act.libraries.library_model import LibraryRequest  # noqa: PLC0415
    from adaptive_act.swapping.replace import swap as swap_activations  # noqa: PLC0415

    kinds = choose_kinds(to, plain or [])
    _require_place(destination, [source, weights])
    options = parse_json_object(factory_kwargs, "--factory-kwargs")
    request = LibraryRequest("", weights, random_weights, options, state_key)
    given = read_source(source, request, factory, parse_inputs(inputs or []))
    try:
        swapped = swap_activations(
            given.model,
            kinds,
            where=at or "*",
            first=first,
            last=last,
            preserve=preserve,
            per_channel=per_channel,
            example=make_example(given),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    _save(swapped.model, destination, given)
    if as_json:
        print_json(summarise(destination, swapped.report, given.notes))
    elif not quiet:
        _print(destination, swapped.report, given.notes)


def choose_kinds(to: str, plains: list[str]) -> "dict[type[nn.Module], type[Activation]]":
    """The activation `to`, for each plain one that the user names, or else for all that it can equal.

    Raises UsageError for names that are none.
    """
    from adaptive_act.activations import ACTIVATIONS  # noqa: PLC0415  # they load torch
    from adaptive_act.plain import PLAIN  # noqa: PLC0415

    kind = ACTIVATIONS.get(to)
    if kind is None:
        hint = suggest(to, ACTIVATIONS) or f"expected one of: {', '.join(ACTIVATIONS)}"
        raise UsageError(f"`--to`: there is no activation `{to[:80]}`", hint)
    unknown = next((name for name in plains if name not in PLAIN), None)
    if unknown is not None:
        hint = suggest(unknown, PLAIN) or f"expected one of: {', '.join(PLAIN)}"
        raise UsageError(f"`--from`: there is no plain activation `{unknown[:80]}`", hint)
    equal = [plain.module for plain in PLAIN.values() if plain.module in kind.fixed_points]
    chosen = [PLAIN[name].module for name in plains] or equal
    if not chosen:
        raise UsageError(
            f"`{to}` equals no plain activation, so that what it replaces must be named", "--from ReLU"
        )
    return dict.fromkeys(chosen, kind)


def _require_place(destination: Path, read: list[Path | str | None]) -> None:
    require_apart(destination, read)
    require_kind(destination, (".pt", ".pth"))
    if destination.is_dir() or not destination.parent.is_dir():
        raise UsageError(
            f"`{destination}` cannot be written: expected the name of a file in a folder that exists"
        )


def _save(model: "nn.Module", destination: Path, given: "DescribedModel") -> None:
    from adaptive_act.checkpoint.checkpoint import save  # noqa: PLC0415  # it loads torch

    try:
        save(
            model,
            destination,
            factory=given.factory,
            factory_kwargs=given.factory_kwargs,
            inputs=given.inputs,
            outputs=given.outputs,
            classes=given.classes,
            preprocessing=given.preprocessing,
        )
    except OSError as error:
        raise UsageError(f"`{destination}` cannot be written: {error.strerror or error}") from error


def summarise(destination: Path, report: "Report", notes: tuple[str, ...]) -> dict[str, Any]:
    """The result that `--json` prints."""
    return {
        "file": str(destination),
        "changed": [
            {"layer": site.layer, "replaced": site.replaced, "activation": site.activation}
            for site in report.changed
        ],
        "skipped": [asdict(entry) for entry in report.skipped],
        "parameters_added": report.parameters_added,
        "largest_change": report.largest_change,
        "notes": list(notes),
    }


def _print(destination: Path, report: "Report", notes: tuple[str, ...]) -> None:
    equal = "the outputs are the same, bit for bit" if report.largest_change == 0 else ""
    with results() as console:
        lines = [*str(report).splitlines(), *filter(None, [equal]), *(f"source: {note}" for note in notes)]
        for line in lines:
            console.print(escape_line(line, longest=None), soft_wrap=True)
        console.print(
            escape_line(f"{destination}: written; train it: adaptive_act.load({str(destination)!r})")
        )


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line, and a hint below."""
    exit_codes.run(app, {AdaptiveActError: exit_codes.FAILED})
