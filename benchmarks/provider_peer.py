"""OpenVINO's own runtime, in an environment that has it: `provider_peer.py FILE FEED THREADS`.

For each line on standard input it takes one turn, and prints the seconds of one run. It computes in float32,
as ours does, and is timed as ours is.
"""

import sys
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from adaptact.halving import time_turn  # this environment does not have it installed


def main(file: str, feed: str, threads: int) -> None:
    """Compile the file, and take turns until standard input ends."""
    import openvino  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  # only there

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    request = openvino.Core().compile_model(file, "CPU", settings).create_infer_request()
    with np.load(feed) as stored:
        inputs = {name: stored[name] for name in stored.files}
    processor = process_time if threads == 1 else None
    for _ in sys.stdin:
        seconds = time_turn(lambda: request.infer(inputs), perf_counter, processor)
        sys.stdout.write(f"{seconds!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
