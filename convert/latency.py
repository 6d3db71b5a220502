"""How long one prediction takes in ONNX Runtime, several files in turns: `python -m convert.latency`."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import typer
from rich.console import Console
from rich.table import Table

from convert.errors import ConversionError, SourceError, UsageError
from convert.model_io.runtime import Array

FAILED, WRONG_USE = 1, 2

WARM_UP_SECONDS = 0.1
TURN_SECONDS = 0.02

Feed = Mapping[str, Array]


def latency(
    files: Mapping[str, Path], feed: Feed, rounds: int, tick: Callable[[int], None]
) -> dict[str, float]:
    """The median microseconds of one run of each file on `feed`, one thread on the CPU."""
    return {name: statistics.median(turns) for name, turns in take_turns(files, feed, rounds, tick).items()}


def take_turns(
    files: Mapping[str, Path], feed: Feed | None, rounds: int, tick: Callable[[int], None]
) -> dict[str, list[float]]:
    """For each file the median microseconds of one run in each round; without a feed, on random samples.

    The files take turns of TURN_SECONDS, so that whatever else the machine does strikes all of them alike:
    the ratios within a round say more than the times. Raises SourceError where a file cannot be run.
    """
    sessions = {name: _session(path) for name, path in files.items()}
    feeds = {name: random_feed(session) if feed is None else feed for name, session in sessions.items()}
    for name, session in sessions.items():
        _turn(session, feeds[name], WARM_UP_SECONDS)
    times: dict[str, list[float]] = {name: [] for name in files}
    for number in range(rounds):
        # Back and forth, so that whatever drifts during a round favours nobody.
        for name in sessions if number % 2 == 0 else reversed(sessions):
            times[name].append(statistics.median(_turn(sessions[name], feeds[name], TURN_SECONDS)) * 1e6)
        tick(1)
    return times


def random_feed(session: ort.InferenceSession) -> dict[str, Array]:
    """One random sample for a file's inputs: 1 wherever a size is free."""
    generator = np.random.default_rng(0)
    feed: dict[str, Array] = {}
    for each in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in each.shape]
        kind = _DTYPES.get(each.type)
        if kind is None:
            raise SourceError(
                f"input `{each.name}` has type {each.type}, expected one of {', '.join(_DTYPES)}"
            )
        values = generator.standard_normal(shape)
        feed[each.name] = values.astype(kind) if np.dtype(kind).kind == "f" else np.zeros(shape, kind)
    return feed


_DTYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _turn(session: ort.InferenceSession, feed: Feed, seconds: float) -> list[float]:
    """The seconds of each run, one after another until the time is over."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, dict(feed))
        times.append(time.perf_counter() - start)
    return times


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise SourceError(f"ONNX Runtime cannot run `{path}`: {str(error).splitlines()[0][:500]}") from error


_REFUSALS = (
    ort.capi.onnxruntime_pybind11_state.Fail,
    ort.capi.onnxruntime_pybind11_state.InvalidArgument,
    ort.capi.onnxruntime_pybind11_state.InvalidGraph,
    ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    ort.capi.onnxruntime_pybind11_state.NoSuchFile,
    ort.capi.onnxruntime_pybind11_state.NotImplemented,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(
    files: Annotated[list[Path], typer.Argument(help="ONNX files with the same inputs.")],
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each file takes.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the median of each turn as JSON.")] = False,
) -> None:
    """Time ONNX files against each other on random samples, one thread, in turns."""
    if len(set(files)) != len(files):
        raise UsageError("each file takes its own turns: name it once")
    turns = take_turns({str(file): file for file in files}, None, rounds, lambda _: None)
    if as_json:
        sys.stdout.write(json.dumps({"microseconds": turns}) + "\n")
    else:
        Console().print(_table(turns))


def _table(turns: Mapping[str, Sequence[float]]) -> Table:
    first = next(iter(turns.values()))
    table = Table("file", "one prediction, µs", "ratio to the first")
    for name, times in turns.items():
        ratio = statistics.median(mine / other for mine, other in zip(times, first, strict=True))
        table.add_row(name, f"{statistics.median(times):.1f}", f"{ratio:.2f}")
    return table


def main() -> None:
    """Run the command and end the process with its exit status: 0 fine, 1 failed, 2 wrong use."""
    try:
        app()
    except ConversionError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(WRONG_USE if isinstance(error, UsageError) else FAILED)


if __name__ == "__main__":
    main()
