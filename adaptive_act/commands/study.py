"""`adaptact study`: the comparison of activations over paired seeds, from its options to its report."""

from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptact import console, exit_codes
from adaptact.cluster import open_cluster
from adaptact.console import messages
from adaptact.languages.spoken import say, speak, spoken
from adaptact.options import (
    AsJson,
    Cluster,
    ClusterCommand,
    Quiet,
    SpokenLanguage,
    parse_json_object,
    use_working_folder,
)
from adaptact.output import print_json
from adaptact.progress import StageBars
from adaptive_act.errors import AdaptiveActError, StudyError

if TYPE_CHECKING:
    from adaptive_act.study.plan import Plan
    from adaptive_act.study.results import Results
    from adaptive_act.study.specs import DataSpec, Training

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(cls=ClusterCommand)
def study(  # noqa: PLR0913, PLR0917  # each argument is an option of the command
    output: Annotated[
        Path, typer.Option(help="Folder for runs and reports; finished runs in it are reused.")
    ],
    activations: Annotated[
        str, typer.Option(help='Activations to compare, as "PReLU,NEAAF(side=both) per channel".')
    ] = "PReLU,PELU,Swish,ABU,NEAAF,NEAAF(side=both)",
    data: Annotated[
        str,
        typer.Option(help="digits, diabetes, an .npz file, or a folder of IDX (MNIST), CIFAR-10 or images."),
    ] = "digits",
    task: Annotated[
        str | None,
        typer.Option(
            help="classification or regression. Default: by the labels, whole numbers being classes."
        ),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(help="Your own training loop in place of the built-in one: package.module:function."),
    ] = None,
    architecture: Annotated[
        str,
        typer.Option(help="Built-in network: mlp, cnn or resnet; with options, as mlp(depth=2)."),
    ] = "mlp",
    factory: Annotated[
        str | None,
        typer.Option(help="Your own network, with the baseline in it: package.module:callable."),
    ] = None,
    factory_kwargs: Annotated[
        str, typer.Option(help="Keyword arguments of the factory, a JSON object.")
    ] = "{}",
    baseline: Annotated[str, typer.Option(help="Plain activation of the network.")] = "ReLU",
    seeds: Annotated[
        int, typer.Option(min=1, help="Runs of each activation, each paired with a baseline run.")
    ] = 10,
    first_seed: Annotated[int, typer.Option(min=0)] = 0,
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    batch: Annotated[int, typer.Option(min=2)] = 128,
    lr: Annotated[
        str,
        typer.Option(
            help="Learning rates to choose from, by validation, for each activation and the baseline; or one."
        ),
    ] = "1e-3,3e-3,1e-2",
    tuning_seeds: Annotated[
        int, typer.Option(min=1, help="Runs of each activation at each rate, by which one is chosen.")
    ] = 2,
    activation_lr: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of the activations' parameters. Default: that of `parameter_groups`, which "
            "follows from the optimizer."
        ),
    ] = None,
    weight_decay: Annotated[
        float, typer.Option(min=0, help="Weight decay of the weights; activations have none.")
    ] = 0.01,
    optimizer: Annotated[str, typer.Option(help="adamw, adam, or sgd (momentum 0.9).")] = "adamw",
    schedule: Annotated[
        str, typer.Option(help="Learning rate schedule: onecycle, cosine (after a short rise) or constant.")
    ] = "onecycle",
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many epochs without a better validation loss.")
    ] = None,
    guard_tries: Annotated[
        int | None,
        typer.Option(min=0, help="Roll a diverging run back up to this many times. Default: only detect it."),
    ] = None,
    train_size: Annotated[
        int | None, typer.Option(min=1, help="Train on this many samples, stratified by class.")
    ] = None,
    validation: Annotated[
        float, typer.Option(help="Share of the training samples used for validation.")
    ] = 0.1,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the data split, which all runs share.")] = 0,
    resize: Annotated[
        int | None,
        typer.Option(min=4, max=4096, help="Resize the images of a folder to this width and height."),
    ] = None,
    ablations: Annotated[
        bool,
        typer.Option(
            "--ablations",
            help="Also run ablations: no nonlinearity, frozen, per channel, strength of NEAAF's term.",
        ),
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Also test noise, blur, contrast, wrong labels and rare classes."),
    ] = False,
    extra_seeds: Annotated[int, typer.Option(min=1, help="Maximum seeds for ablations and robustness.")] = 3,
    cost: Annotated[
        bool, typer.Option(help="Measure the training step and the latency of the exported file.")
    ] = True,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at the same time. Default: one per core.")
    ] = None,
    cluster: Cluster = None,
    language: SpokenLanguage = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train learned activations and a plain baseline with several seeds, and report whether they pay.

    Writes results.json, report.md and report.html to the output folder.
    Finished runs are kept there: after an interruption the same command
    continues, and gives the same numbers.

    Exit status: 0 fine, 1 failed, 2 wrong use.
    """
    options = dict(locals())
    if factory is not None:
        parse_json_object(factory_kwargs, "--factory-kwargs")
    if factory is not None or train is not None:
        use_working_folder()
    # Imported here so that completion, --help and a wrong option answer at once: torch takes two seconds.
    from adaptive_act.study.pipeline import study as carry_out  # noqa: PLC0415

    with ExitStack() as opened:
        machines = None if cluster is None else opened.enter_context(open_cluster(cluster))
        bars = opened.enter_context(StageBars(messages(quiet=quiet or as_json)))
        results = carry_out(_plan(options), output, jobs, bars.on_stage, machines)
    _show(results, output, quiet=quiet, as_json=as_json)


def _show(results: "Results", output: Path, *, quiet: bool, as_json: bool) -> None:
    """The answer is printed, and where the report lies."""
    from adaptive_act.study.wording import describe_setting, summarise_answer  # noqa: PLC0415

    with speak("en" if as_json else spoken()):
        setting, answer = describe_setting(results), summarise_answer(results)
    report = output / "report.html"
    if as_json:
        files = {"report": str(report), "results": str(output / "results.json")}
        print_json({"setting": setting, "answer": answer, **files})
    elif not quiet:
        with console.results() as shown:
            for line in (setting, *answer):
                console.print_line(shown, line)
            shown.print(say("report: {file}", file=report), soft_wrap=True)


def main() -> None:
    """Run the command and end the process with its exit status; an error is one line."""
    statuses = {
        StudyError: exit_codes.WRONG_USE,
        ValueError: exit_codes.WRONG_USE,
        AdaptiveActError: exit_codes.FAILED,
        OSError: exit_codes.FAILED,
    }
    exit_codes.run(app, statuses)


def _plan(options: dict[str, Any]) -> "Plan":
    """The plan that the options describe; raises ValueError or StudyError where they cannot be meant."""
    from adaptive_act.study.plan import Plan  # noqa: PLC0415  # they load torch
    from adaptive_act.study.specs import Architecture, DataSpec, Training  # noqa: PLC0415
    from adaptive_act.study.syntax import NamedOptions, split_list  # noqa: PLC0415

    def chosen(kind: "type[DataSpec | Training]") -> dict[str, Any]:
        return {field.name: options[field.name] for field in fields(kind) if field.name in options}

    own = options["factory"]
    name = own if own is not None else str(NamedOptions.parse(options["architecture"]))
    return Plan(
        data=DataSpec(_locate(options["data"], is_shared=options["cluster"] is not None), **chosen(DataSpec)),
        architecture=Architecture(name, options["factory_kwargs"]),
        variants=tuple(split_list(options["activations"])),
        baseline=options["baseline"],
        seeds=tuple(range(options["first_seed"], options["first_seed"] + options["seeds"])),
        rates=_parse_rates(options["lr"]),
        training=Training(loop=options["train"], **chosen(Training)),
        **{
            name: options[name] for name in ("tuning_seeds", "ablations", "robustness", "cost", "extra_seeds")
        },
    )


def _locate(data: str, *, is_shared: bool) -> str:
    """The data's path as other machines have it, whatever their working folder is."""
    from adaptive_act.study.formats import BUNDLED  # noqa: PLC0415  # it loads torch

    is_path = is_shared and data not in BUNDLED and Path(data).exists()
    return str(Path(data).absolute()) if is_path else data


def _parse_rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(rate) for rate in text.split(","))
    except ValueError as error:
        raise StudyError(f"--lr: expected one rate or several, as 1e-3,3e-3, got `{text}`") from error


if __name__ == "__main__":
    main()
