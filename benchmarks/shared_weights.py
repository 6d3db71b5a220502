"""What four workers take of a model with 128 MB of weights, each with its own and all with one copy.

Starts the server in each way in turn, some rounds, and reads the memory of all its processes from the kernel.
Prints a table and writes docs/results/shared_weights.{md,json}; a few minutes.
"""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import psutil
import typer
from onnx import TensorProto, helper, numpy_helper
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.results import publish, show

WORKERS = 4
LAYERS = {"perceptron": (8, 2048), "convolutions": (14, 512)}
"""Of each model, and the width of each: 134 and 123 MB."""
WAYS = {
    "one worker": (1, "off"),
    "four workers, each with its own": (WORKERS, "off"),
    "four workers, one copy that they make": (WORKERS, "new"),
    "four workers, one copy that is there": (WORKERS, "kept"),
}
SMALL = 8  # wide: a model that shows what the server takes without weights


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a server; megabytes (10⁶) of all its processes after a prediction by each worker."""

    memory: float
    ready: float
    """Seconds from the start of the process."""
    processor: float
    """Seconds of all processes until then."""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is started.")] = 3,
    save: Annotated[bool, typer.Option(help="Whether the results are kept.")] = True,
) -> None:
    """Measure and publish."""
    table = Table(box=box.MARKDOWN)
    for column in ("model", "server", "memory", "without the server's own", "to ready", "processor time"):
        table.add_column(column, justify="left" if column in {"model", "server"} else "right")
    numbers: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in (*LAYERS, "none"):
            _write_model(folder / kind, kind)
        own = {
            workers: _find_median([_start(folder, "none", workers, "off") for _ in range(rounds)]).memory
            for workers in (1, WORKERS)
        }
        for kind in LAYERS:
            starts: dict[str, list[Start]] = {way: [] for way in WAYS}
            _start(folder, kind, WORKERS, "new")
            for _ in track(range(rounds), description=kind):
                for way, (workers, cache) in WAYS.items():
                    starts[way].append(_start(folder, kind, workers, cache))
            for way, (workers, _) in WAYS.items():
                found = _find_median(starts[way])
                weights = found.memory - own[workers]
                times = f"{found.ready:.2f} s", f"{found.processor:.2f} s"
                table.add_row(kind, way, f"{found.memory:.0f} MB", f"{weights:.0f} MB", *times)
                numbers[f"{kind}, {way}"] = {
                    "memory_mb": found.memory,
                    "weights_mb": weights,
                    "ready_seconds": found.ready,
                    "processor_seconds": found.processor,
                }
    title = f"Weights of {WORKERS} workers, median of {rounds} starts each"
    if save:
        publish("shared_weights", title, table, numbers)
    else:
        show(title, [table])


def _find_median(starts: list[Start]) -> Start:
    names = Start.__slots__
    return Start(*(statistics.median(getattr(start, name) for start in starts) for name in names))


def _start(folder: Path, kind: str, workers: int, cache: str) -> Start:
    """`cache` is off, or kept, or new: then what is there is removed before."""
    if cache == "new":
        shutil.rmtree(folder / "cache", ignore_errors=True)
    place = "off" if cache == "off" else str(folder / "cache")
    program = Path(sys.executable).with_name("adaptact-serve")
    command = [str(program), "--models", str(folder / kind), "--port", "0", "--log-level", "warning"]
    command += ["--workers", str(workers), "--weights-cache", place, "--no-drift", "--concurrency", "1"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, "the server did not start"
        ready = time.perf_counter() - begin
        supervisor = psutil.Process(process.pid)
        group = [supervisor, *supervisor.children()]
        times = [each.cpu_times() for each in group]
        processor = sum(each.user + each.system for each in times)
        for _ in range(4 * workers):  # a new connection each, which go to the workers in turn
            _predict(address[0], kind)
        return Start(sum(_read_memory(each.pid) for each in group), ready, processor)
    finally:
        process.terminate()
        process.wait(60)


def _read_memory(process: int) -> float:
    """The process's share of what is in memory (PSS): of pages that n processes have, an n-th."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1]) / 1e6


def _predict(address: str, kind: str) -> None:
    instance = np.zeros((3, 8, 8) if kind == "convolutions" else _size(kind)).tolist()
    body = json.dumps({"instances": [instance]}).encode()
    with urllib.request.urlopen(f"{address}/v1/models/m:predict", body) as reply:
        reply.read()


def _size(kind: str) -> int:
    return LAYERS[kind][1] if kind in LAYERS else SMALL


def _write_model(folder: Path, kind: str) -> None:
    random = np.random.default_rng(0)
    layers, width = LAYERS.get(kind, (1, SMALL))
    weights, nodes, value = [], [], "x"
    for layer in range(layers):
        if kind == "convolutions":
            shape: tuple[int, ...] = (width, width if layer else 3, 3, 3)
            node = helper.make_node("Conv", [value, f"w{layer}"], [f"h{layer}"], pads=[1, 1, 1, 1])
        else:
            shape = (width, width)
            node = helper.make_node("MatMul", [value, f"w{layer}"], [f"h{layer}"])
        values = np.sqrt(width / np.prod(shape)) * random.standard_normal(shape)
        weights.append(numpy_helper.from_array(np.asarray(values, np.float32), f"w{layer}"))
        value = f"r{layer}"
        nodes += [node, helper.make_node("Relu", [f"h{layer}"], [value])]
    sizes: list[str | int | None] = ["N", 3, 8, 8] if kind == "convolutions" else ["N", width]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    path = folder / "m" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


if __name__ == "__main__":
    typer.run(main)
