"""Times functions against each other, in turns, so that other load on the machine affects all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Run = Callable[[], object]
Times = dict[str, list[float]]
"""For each by name the seconds of one run, a median a round."""

WARM_UP_SECONDS = 0.1
TURN_SECONDS = 0.02


def take_turns(
    runs: Mapping[str, Run],
    rounds: int,
    turn_seconds: float = TURN_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """The median seconds of one run of each function in each round; compare them by `median_ratio`."""
    for run in runs.values():
        _time_turn(run, WARM_UP_SECONDS, clock)
    times: Times = {name: [] for name in runs}
    for number in range(rounds):
        # Back and forth, so that a drift during a round favours no function.
        for name in runs if number % 2 == 0 else reversed(list(runs)):
            times[name].append(statistics.median(_time_turn(runs[name], turn_seconds, clock)))
    return times


def median_ratio(times: Mapping[str, list[float]], name: str, to: str) -> float:
    """The median over the rounds of how many times longer `name` took than `to` in the same round."""
    return statistics.median(mine / other for mine, other in zip(times[name], times[to], strict=True))


def _time_turn(run: Run, seconds: float, clock: Callable[[], float]) -> list[float]:
    """The seconds of each run, one after another until the time is over."""
    times: list[float] = []
    end = clock() + seconds
    while not times or clock() < end:
        start = clock()
        run()
        times.append(clock() - start)
    return times


def make_session_run(path: Path, feed: Mapping[str, NDArray[np.generic]], threads: int) -> Run:
    """One prediction of the file in ONNX Runtime, on the CPU with so many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Otherwise the threads of the last session would still spin while the next one is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    loaded = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = dict(feed)
    return lambda: loaded.run(None, inputs)
