"""The steps of benchmarks/real_models.py, each run in a process of its own, for a model in a folder.

The folder holds `model.pt`, `torch.onnx` as torch.onnx.export writes the model, `ours.onnx` made of the
checkpoint and `again.onnx` made of torch's file.
"""

import contextlib
import json
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from adaptive_act import load, save
from benchmarks.real_subjects import REAL_MODELS
from benchmarks.rivals import export_with_torch, try_tool
from benchmarks.turns import Run, make_session_run, median_ratio, take_turns

FILES = {"torch": "torch.onnx", "ours": "ours.onnx", "again": "again.onnx"}
COMPILED, EAGER = "torch.compile", "torch eager"
TURN_SECONDS = 0.05


def write_checkpoint(name: str, folder: Path) -> None:
    """Writes the model's checkpoint into the folder."""
    subject = REAL_MODELS[name]
    kwargs = dict(subject.kwargs)
    save(
        subject.model(),
        folder / "model.pt",
        factory=subject.factory,
        factory_kwargs=kwargs,
        inputs=subject.specs(),
    )


def write_torch_file(name: str, folder: Path) -> None:
    """Writes torch.onnx.export's file of the checkpoint into the folder."""
    subject = REAL_MODELS[name]
    model = load(folder / "model.pt").model
    export_with_torch(
        model, subject.traced, tuple(subject.inputs), folder / FILES["torch"], free=subject.free
    )


def measure_latencies(name: str, folder: Path, rounds: int, compile_seconds: int) -> dict[str, Any]:
    """The milliseconds of one prediction by each, their ratios to torch's file, and what failed, with why.

    torch.compile has `compile_seconds` for its first run; with 0 it is not tried.
    """
    torch.set_num_threads(1)
    subject = REAL_MODELS[name]
    example = subject.example(1)
    feed = {key: value.numpy() for key, value in zip(subject.inputs, example, strict=True)}
    present = {key: folder / file for key, file in FILES.items() if (folder / file).exists()}
    runs: dict[str, Run] = {key: make_session_run(path, feed, threads=1) for key, path in present.items()}
    model = load(folder / "model.pt").model.eval().requires_grad_(False)
    runs[EAGER] = lambda: model(*example)
    compiled: Any = torch.compile(model) if compile_seconds else None
    with torch.inference_mode():
        with limit_seconds(compile_seconds):
            began = time.perf_counter()
            reason = try_tool(lambda: compiled(*example)) if compiled is not None else "not tried"
        if reason is not None and time.perf_counter() - began >= compile_seconds > 0:
            reason = f"not done after {compile_seconds} s"  # whatever torch made of the TimeoutError
        if reason is None:
            runs[COMPILED] = lambda: compiled(*example)
        times = take_turns(runs, rounds, TURN_SECONDS)
    return {
        "milliseconds": {key: statistics.median(turns) * 1e3 for key, turns in times.items()},
        "to_torch": {key: median_ratio(times, key, "torch") for key in times} if "torch" in times else {},
        "failed": {} if reason is None else {COMPILED: reason},
    }


@contextlib.contextmanager
def limit_seconds(seconds: int) -> Iterator[None]:
    """Within the block, TimeoutError is raised in the main thread after so many seconds."""

    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main(step: str, name: str, folder: str, *numbers: str) -> None:
    """Does one step, and prints what it measured."""
    if step == "checkpoint":
        write_checkpoint(name, Path(folder))
    elif step == "torch":
        write_torch_file(name, Path(folder))
    else:
        sys.stdout.write(json.dumps(measure_latencies(name, Path(folder), *map(int, numbers))))
