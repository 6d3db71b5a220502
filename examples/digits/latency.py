"""How long one prediction takes in ONNX Runtime, several files in turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

WARM_UP = 200
RUNS = 150


def latency(
    files: Mapping[str, Path],
    feed: Mapping[str, NDArray[np.float32]],
    rounds: int,
    tick: Callable[[int], None],
) -> dict[str, float]:
    """The median microseconds of one run of each file on `feed`, one thread.

    The files take turns of RUNS runs, so that whatever else the machine does strikes all of them alike.
    """
    sessions = {name: _session(path) for name, path in files.items()}
    for session in sessions.values():
        for _ in range(WARM_UP):
            session.run(None, dict(feed))
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, session in sessions.items():
            for _ in range(RUNS):
                start = time.perf_counter()
                session.run(None, dict(feed))
                times[name].append(time.perf_counter() - start)
        tick(1)
    return {name: statistics.median(values) * 1e6 for name, values in times.items()}


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
