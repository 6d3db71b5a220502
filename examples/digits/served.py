"""The real server process, asked over HTTP."""

import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

BATCH = 32
SINGLE = 200  # one-digit requests that are timed
STARTED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ServerAnswers:
    """Logits [n, classes] for every image, and the median milliseconds of a request with one image."""

    logits: NDArray[np.float32]
    milliseconds: float


@contextmanager
def run_server(models: Path, *arguments: str) -> Iterator[str]:
    """The address of a server for the folder, with further arguments; it is stopped by SIGTERM at the end."""
    program = Path(sys.executable).with_name("adaptact-serve")
    command = [str(program), "--models", str(models), "--port", "0", "--log-level", "warning"]
    command += arguments
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        address = re.search(r"http://\S+", line)
        if address is None:
            raise RuntimeError(f"the server did not start: `{line.strip()}`, exit code {process.wait()}")
        _wait_until_ready(address[0])
        yield address[0]
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(STARTED_SECONDS)
        process.stdout.close()
    if code != 0:
        raise RuntimeError(f"the server stopped with exit code {code}, expected 0")


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + STARTED_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/v2/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the server at {url} is not ready after {STARTED_SECONDS:g} s")


def predict(url: str, model: str, images: NDArray[np.float32], tick: Callable[[int], None]) -> ServerAnswers:
    """What the served model answers for all images [n, ...]; `tick` hears how many more are done."""
    with httpx.Client(base_url=url) as client:
        logits = []
        for start in range(0, len(images), BATCH):
            logits.append(_infer(client, model, images[start : start + BATCH]))
            tick(len(logits[-1]))
        times = []
        for image in images[:SINGLE]:
            begin = time.perf_counter()
            _infer(client, model, image[np.newaxis])
            times.append(time.perf_counter() - begin)
    return ServerAnswers(np.concatenate(logits), statistics.median(times) * 1e3)


def _infer(client: httpx.Client, model: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    tensor = {"name": "image", "datatype": "FP32", "shape": images.shape, "data": images.ravel().tolist()}
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})
    answer.raise_for_status()
    (output,) = answer.json()["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])
