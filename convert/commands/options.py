"""The options that several commands have, said once, and what is made of their words."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convert.errors import UsageError
from convert.parity.tolerance import tolerance_of
from convert.precision.budgets import Precision

if TYPE_CHECKING:
    from convert.tuning.tune import Tuning

Factory = Annotated[str | None, typer.Option(help="The code that builds the model: package.module:callable.")]
FactoryKwargs = Annotated[str | None, typer.Option(help="What to call it with, a JSON object.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="An input, as x:float32[N,3,32,32] or ids:int64[N,T]<30522; words are free sizes. Repeatable.",
    ),
]
Samples = Annotated[Path | None, typer.Option(help="Your own samples: .npz, one array an input.")]
Tolerances = Annotated[
    list[str] | None,
    typer.Option(help="OUTPUT=SHARE: accept this error too, as a share of the output's scale. Repeatable."),
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Load a pickled module too, which runs code that it chose.")
]
Provider = Annotated[str, typer.Option(help="What ONNX Runtime runs the file on: cpu or cuda.")]
Report = Annotated[
    Path | None, typer.Option(dir_okay=False, help="File for a report on what was found, as a page.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and no progress.")]

Tune = Annotated[
    bool, typer.Option("--tune", help="Time the exact forms of each layer on this machine, take the fastest.")
]
Threads = Annotated[int | None, typer.Option(help="To tune for: the threads of one run, 1 if not given.")]
Batch = Annotated[
    str | None,
    typer.Option(help="To tune for: samples at a time, as 1,16. The model's own, or 1, if not given."),
]
TuneSeconds = Annotated[float | None, typer.Option(help="All the time to tune in: 60 if not given.")]
NoTuneCache = Annotated[
    bool, typer.Option("--no-tune-cache", help="Tune anew, and do not keep what was found for next time.")
]

Bits = Annotated[
    Precision, typer.Option("--precision", help="Of the file's numbers: fp32, fp16 for a GPU, or int8.")
]
Calibration = Annotated[
    Path | None, typer.Option(help="For int8: .npz, one array an input, of data like those it will meet.")
]
MaxError = Annotated[
    float | None,
    typer.Option(help="Of fp16 and int8: the largest error, as a share of the output's scale."),
]
MinAgreement = Annotated[
    float | None,
    typer.Option(help="Of fp16 and int8: the share of samples whose largest score stays in its place."),
]
MaxAccuracyDrop = Annotated[
    float | None,
    typer.Option(help="Of fp16 and int8: the share of samples that may turn wrong; needs `labels` in them."),
]


def json_object(text: str | None) -> dict[str, Any] | None:
    """What `--factory-kwargs` holds. Raises UsageError where it is no JSON object."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`--factory-kwargs` is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"`--factory-kwargs` is a `{type(found).__name__}`, expected a JSON object")
    return found


def tolerances(texts: Sequence[str] | None) -> dict[str, float]:
    """What `--tolerance` allows, by output. Raises UsageError where one is no share, or named twice."""
    pairs = [tolerance_of(text) for text in texts or []]
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"`--tolerance` names output `{twice}` twice")
    return dict(pairs)


def tuning(
    wanted: bool,
    provider: str,
    threads: int | None,
    batch: str | None,
    seconds: float | None,
    *,
    cached: bool,
) -> "Tuning | None":
    """What is to be tuned for; None where nothing is. Raises UsageError where that cannot be meant."""
    given = {"--threads": threads, "--batch": batch, "--tune-seconds": seconds}
    given["--no-tune-cache"] = None if cached else True
    if not wanted:
        idle = [name for name, value in given.items() if value is not None]
        if idle:
            raise UsageError(f"`{idle[0]}` says how to tune, and nothing is tuned", hint="add --tune")
        return None
    from convert.tuning.tune import SECONDS, Tuning  # noqa: PLC0415  # it loads torch

    return Tuning(
        provider=provider,
        threads=1 if threads is None else threads,
        batches=() if batch is None else _sizes(batch),
        seconds=SECONDS if seconds is None else seconds,
        cached=cached,
    )


def _sizes(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        raise UsageError(f"`--batch` is `{text[:100]}`, expected numbers such as `1,16`")
    return tuple(int(part) for part in parts)
