"""How long one prediction takes in ONNX Runtime, several files in turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

WARM_UP_SECONDS = 0.1
TURN_SECONDS = 0.02


def latency(
    files: Mapping[str, Path],
    feed: Mapping[str, NDArray[np.float32]],
    rounds: int,
    tick: Callable[[int], None],
) -> dict[str, float]:
    """The median microseconds of one run of each file on `feed`, one thread.

    The files take turns of TURN_SECONDS, so that whatever else the machine does strikes all of them alike.
    """
    sessions = {name: _session(path) for name, path in files.items()}
    for session in sessions.values():
        _turn(session, feed, WARM_UP_SECONDS)
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, session in sessions.items():
            times[name] += _turn(session, feed, TURN_SECONDS)
        tick(1)
    return {name: statistics.median(values) * 1e6 for name, values in times.items()}


def _turn(
    session: ort.InferenceSession, feed: Mapping[str, NDArray[np.float32]], seconds: float
) -> list[float]:
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
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
