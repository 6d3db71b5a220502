"""Options that several commands share: their declarations and the parsing of their texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convert.artefact.destination import require_writable
from convert.errors import UsageError
from convert.parity.tolerance import parse_tolerance
from convert.precision.budgets import Precision

if TYPE_CHECKING:
    from convert.precision.front.options import FrontOptions
    from convert.tuning.tune import TuningOptions

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="Input, as x:float32[N,3,32,32] or ids:int64[N,T]<30522; words are free sizes. Repeatable.",
    ),
]
Samples = Annotated[
    Path | None, typer.Option(help="Your own samples: an .npz file with one array per input.")
]
Tolerances = Annotated[
    list[str] | None,
    typer.Option(help="OUTPUT=SHARE: also accept this error, as a share of the output's scale. Repeatable."),
]
StateKey = Annotated[
    str | None,
    typer.Option(help="Which state_dict of several in the file to take: its key, as ema or ema.shadow."),
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Also load a pickled module; it can run any code.")
]
Weights = Annotated[
    Path | None,
    typer.Option(help="For timm:, torchvision: and hf: models: the weights, a .safetensors or state_dict."),
]
RandomWeights = Annotated[
    bool, typer.Option("--random-weights", help="For these models, to try things out: random weights.")
]
Provider = Annotated[str, typer.Option(help="Execution provider of ONNX Runtime: cpu, openvino or cuda.")]
MeasuredProvider = Annotated[
    str, typer.Option(help="Execution provider: cpu, openvino or cuda; with --tune also auto, the fastest.")
]
Report = Annotated[Path | None, typer.Option(dir_okay=False, help="HTML file for the report.")]

Tune = Annotated[
    bool,
    typer.Option("--tune", help="Time the exact forms of each layer on this machine, and use the fastest."),
]
Threads = Annotated[int | None, typer.Option(help="With --tune or --front: threads of one run. Default: 1.")]
Batch = Annotated[
    str | None,
    typer.Option(
        help="With --tune or --front: batch sizes, as 1,16. Default: the model's fixed size, else 1."
    ),
]
TuneSeconds = Annotated[
    float | None, typer.Option(help="With --tune: total seconds for tuning. Default: 60.")
]
NoTuneCache = Annotated[
    bool, typer.Option("--no-tune-cache", help="With --tune: do not read or write cached results.")
]

PrecisionOption = Annotated[Precision, typer.Option("--precision", help="Precision of the file.")]
Calibration = Annotated[
    Path | None, typer.Option(help="For int8: .npz file of representative data, one array per input.")
]
MaxError = Annotated[
    float | None,
    typer.Option(help="For a lower precision: largest allowed error, as a share of the output's scale."),
]
MinAgreement = Annotated[
    float | None,
    typer.Option(help="For a lower precision: minimum share of samples whose largest score keeps its place."),
]
MaxAccuracyDrop = Annotated[
    float | None,
    typer.Option(
        help="For a lower precision: largest allowed drop in accuracy; needs `labels` in the samples."
    ),
]
Front = Annotated[
    Literal["fastest", "knee"] | None,
    typer.Option(
        help="For int8: time on this machine which places to round, and take the fastest file that keeps the "
        "budgets, or the one at the knee of loss over time."
    ),
]
FrontSeconds = Annotated[
    float | None, typer.Option(help="With --front: seconds for its places and files. Default: 60.")
]


def require_separate(files: Sequence[Path], *extra_files: Path | None) -> None:
    """Raises UsageError where an extra file would replace another one.

    Raises DestinationError where an extra file cannot be written.
    """
    taken = [file.resolve() for file in files]
    for path in extra_files:
        if path is not None:
            if path.resolve() in taken:
                raise UsageError(f"`{path}` is named for two things; write them to files of their own")
            taken.append(path.resolve())
            require_writable(path)


def parse_tolerances(texts: Sequence[str] | None) -> dict[str, float]:
    """The share that `--tolerance` allows each output. Raises UsageError for a wrong or repeated one."""
    pairs = [parse_tolerance(text) for text in texts or []]
    names = [name for name, _ in pairs]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(f"`--tolerance` names output `{repeated}` twice")
    return dict(pairs)


def parse_tuning(
    tune: bool,
    provider: str,
    threads: int | None,
    batch: str | None,
    seconds: float | None,
    *,
    cached: bool,
) -> "TuningOptions | None":
    """What to tune for; None without `--tune`. Raises UsageError where the options contradict each other."""
    named = {"--threads": threads, "--batch": batch, "--tune-seconds": seconds}
    named["--no-tune-cache"] = None if cached else True
    if not tune:
        idle = [option for option, value in named.items() if value is not None]
        if idle:
            raise UsageError(f"`{idle[0]}` says how to tune, and nothing is tuned", hint="add --tune")
        return None
    from convert.tuning.tune import SECONDS, TuningOptions  # noqa: PLC0415  # it loads torch

    return TuningOptions(
        provider=provider,
        threads=1 if threads is None else threads,
        batches=() if batch is None else _parse_batches(batch),
        seconds=SECONDS if seconds is None else seconds,
        cached=cached,
    )


def parse_front(
    rule: Literal["fastest", "knee"] | None,
    seconds: float | None,
    provider: str,
    threads: int | None,
    batch: str | None,
) -> "FrontOptions | None":
    """The front to measure; None without `--front`. Raises UsageError where its time is given alone."""
    if rule is None:
        if seconds is not None:
            raise UsageError("`--front-seconds` is the time for a front", hint="add --front fastest")
        return None
    from convert.precision.front.options import SECONDS, FrontOptions  # noqa: PLC0415  # it loads torch
    from convert.tuning.tune import TuningOptions  # noqa: PLC0415

    target = TuningOptions(
        provider, 1 if threads is None else threads, () if batch is None else _parse_batches(batch)
    )
    return FrontOptions(rule, target, SECONDS if seconds is None else seconds)


def _parse_batches(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        raise UsageError(f"`--batch` is `{text[:100]}`, expected numbers such as `1,16`")
    return tuple(int(part) for part in parts)
