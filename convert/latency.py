"""The time of one prediction in ONNX Runtime, for several files in turns: `python -m convert.latency`."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import typer
from rich.table import Table
from rich.text import Text

from adaptact.console import results
from adaptact.exit_codes import FAILED, WRONG_USE, run
from adaptact.output import print_json
from adaptact.providers.runtime_errors import ORT_ERRORS
from adaptact.text import escape_line, first_line
from convert.errors import ConversionError, SourceError, UsageError
from convert.model_io.array import Array

WARM_UP_SECONDS = 0.1
TURN_SECONDS = 0.02

Feed = Mapping[str, Array]
_DTYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def measure_latency(
    files: Mapping[str, Path], feed: Feed, rounds: int, on_progress: Callable[[int], None]
) -> dict[str, float]:
    """The median microseconds of one run of each file on `feed`, one thread on the CPU."""
    return {
        name: statistics.median(turns) for name, turns in take_turns(files, feed, rounds, on_progress).items()
    }


def take_turns(
    files: Mapping[str, Path], feed: Feed | None, rounds: int, on_progress: Callable[[int], None]
) -> dict[str, list[float]]:
    """For each file the median microseconds of one run in each round; without a feed, on random samples.

    The files take turns of TURN_SECONDS, so that other load on the machine affects all of them alike: the
    ratios within a round say more than the times. `on_progress` is called with 1 after each round. Raises
    SourceError where a file cannot be run.
    """
    sessions = {name: _open_session(path) for name, path in files.items()}
    feeds = {name: make_random_feed(session) if feed is None else feed for name, session in sessions.items()}
    for name, session in sessions.items():
        _take_turn(session, feeds[name], WARM_UP_SECONDS)
    times: dict[str, list[float]] = {name: [] for name in files}
    for number in range(rounds):
        # Back and forth, so that whatever drifts during a round favours no file.
        for name in sessions if number % 2 == 0 else reversed(sessions):
            times[name].append(statistics.median(_take_turn(sessions[name], feeds[name], TURN_SECONDS)) * 1e6)
        on_progress(1)
    return times


def make_random_feed(session: ort.InferenceSession) -> dict[str, Array]:
    """One random sample for a file's inputs: 1 wherever a size is free."""
    generator = np.random.default_rng(0)
    feed: dict[str, Array] = {}
    for tensor in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in tensor.shape]
        kind = _DTYPES.get(tensor.type)
        if kind is None:
            raise SourceError(
                f"input `{tensor.name}` has type {tensor.type}, expected one of {', '.join(_DTYPES)}"
            )
        values = generator.standard_normal(shape)
        feed[tensor.name] = values.astype(kind) if np.dtype(kind).kind == "f" else np.zeros(shape, kind)
    return feed


def _take_turn(session: ort.InferenceSession, feed: Feed, seconds: float) -> list[float]:
    """The seconds of each run, one after another until the time is over."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, dict(feed))
        times.append(time.perf_counter() - start)
    return times


def _open_session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise SourceError(f"ONNX Runtime cannot run `{path}`: {first_line(error, 500)}") from error


@app.command()
def compare_files(
    files: Annotated[list[Path], typer.Argument(help="ONNX files with the same inputs.")],
    rounds: Annotated[
        int, typer.Option(min=1, help="Timed rounds; each file takes one turn per round.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the median of each round as JSON.")] = False,
) -> None:
    """Compare the latency of ONNX files, in alternating turns, on random samples and one thread."""
    if len(set(files)) != len(files):
        raise UsageError("each file takes its own turns: name it once")
    turns = take_turns({str(file): file for file in files}, None, rounds, lambda _: None)
    if as_json:
        print_json({"microseconds": turns})
    else:
        with results() as console:
            console.print(_build_table(turns))


def _build_table(turns: Mapping[str, Sequence[float]]) -> Table:
    first = next(iter(turns.values()))
    table = Table("file", "one prediction, µs", "ratio to the first")
    for name, times in turns.items():
        ratio = statistics.median(mine / other for mine, other in zip(times, first, strict=True))
        table.add_row(Text(escape_line(name)), f"{statistics.median(times):.1f}", f"{ratio:.2f}")
    return table


def main() -> None:
    """Run the command and end the process with its exit code: 0 fine, 1 failed, 2 wrong use."""
    run(app, {ConversionError: FAILED, UsageError: WRONG_USE})


if __name__ == "__main__":
    main()
