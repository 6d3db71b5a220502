"""Weights alone in 8 and 4 bits: size, load, memory, time and error of a transformer as large as BERT-base.

Twelve random layers of width 768, 85 million weights; rows of 1 and 128 tokens, one thread. Beside them int8
without calibration, and ONNX Runtime's own quantiser of 4 bits, whose blocks have zero points. A second table
has one large layer in blocks of every size, at both of ONNX Runtime's levels of accuracy. Prints the tables,
and writes docs/results/weights.{md,json}.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import torch
import typer
from rich import box
from rich.table import Table
from torch import nn

from benchmarks.results import publish
from benchmarks.weight_blocks import measure_blocks, quantise_by_onnx_runtime
from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.inputs import parse_input
from convert.precision.int8 import DynamicScheme
from convert.precision.sites import find_sites
from convert.precision.weights import WeightsScheme
from convert.rewriting.optimise import optimise
from convert.sources.export import export

WIDTH, HEADS, LAYERS = 768, 12, 12
TOKENS = (1, 128)
NOTES = (
    "Times are ratios to float32's, medians of turns, by the clock of the only thread. Errors are shares of "
    "the outputs' scale, on 128 tokens. Memory is that of a process that has loaded the file and run it once."
)
_LOAD = """
import sys, numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
session.run(None, {"x": np.zeros((1, 1, int(sys.argv[2])), np.float32)})
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """One file: megabytes on the disk and in memory, seconds to load, ratios of time by tokens, errors."""

    file: str
    megabytes: float
    memory: float
    load_seconds: float
    times: dict[int, float]
    largest: float
    typical: float


class Block(nn.Module):
    """Attention and a feed-forward part, each after a normalisation and with a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.inner, self.outer = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.part = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, tokens, WIDTH] -> the same."""
        parts = self.inner(self.first(x)).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + self.outer(mixed.transpose(1, 2).flatten(2))
        result: torch.Tensor = x + self.part(self.second(x))
        return result


def main(rounds: Annotated[int, typer.Option(min=1, help="Turns that each file takes.")] = 11) -> None:
    """Round, measure and publish."""
    torch.manual_seed(0)
    with torch.inference_mode():
        graph = _export(nn.Sequential(*(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH)).eval())
    with tempfile.TemporaryDirectory() as folder:
        files = _write_files(graph, Path(folder))
        rows = _measure(files, rounds)
    blocks = measure_blocks(rounds)
    numbers = {"rows": [asdict(row) for row in rows], "blocks": [asdict(row) for row in blocks.rows]}
    publish("weights", "Weights alone in fewer bits", [_make_table(rows), blocks.table], numbers, NOTES)


def _export(model: nn.Module) -> ir.Model:
    spec = parse_input(f"x:float32[N,T,{WIDTH}]")
    return optimise(export(model, [spec], ["y"], 21).model).model


def _write_files(graph: ir.Model, folder: Path) -> dict[str, Path]:
    """The files, each written before the next graph is made."""
    files: dict[str, Path] = {}

    def write(name: str, content: bytes) -> None:
        files[name] = folder / f"{len(files)}.onnx"
        files[name].write_bytes(content)

    exact = serialise(graph)
    write("float32", exact)
    write("int8, dynamic", serialise(DynamicScheme(graph, find_sites(graph, {})).round(())))
    for bits in (8, 4):
        write(f"weights-int{bits}", serialise(WeightsScheme(graph, {}, bits).round(())))
    proto = quantise_by_onnx_runtime(onnx.load_model_from_string(exact), 4, 32, symmetric=False, level=4)
    write("ONNX Runtime's quantiser, 4 bits", proto.SerializeToString())
    return files


def _measure(files: Mapping[str, Path], rounds: int) -> list[WeightsRow]:
    sessions, loads = {}, {}
    for name, file in files.items():
        start = time.thread_time()
        sessions[name] = _open(file)
        loads[name] = time.thread_time() - start
    generator = np.random.default_rng(0)
    feeds = {tokens: generator.standard_normal((1, tokens, WIDTH)).astype(np.float32) for tokens in TOKENS}
    times = {tokens: _take_turns(sessions, feeds[tokens], rounds) for tokens in TOKENS}
    outputs = {name: session.run(None, {"x": feeds[TOKENS[-1]]})[0] for name, session in sessions.items()}
    exact = outputs["float32"]
    rows = []
    for name, file in files.items():
        errors = np.abs(outputs[name] - exact) / np.abs(exact).max()
        rows.append(
            WeightsRow(
                file=name,
                megabytes=file.stat().st_size / 1e6,
                memory=_measure_memory(file),
                load_seconds=loads[name],
                times={tokens: times[tokens][name] for tokens in TOKENS},
                largest=float(errors.max()),
                typical=float(np.sqrt(np.square(errors).mean())),
            )
        )
    return rows


def _open(file: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _take_turns(sessions: Mapping[str, ort.InferenceSession], x: Array, rounds: int) -> dict[str, float]:
    """The ratio of each file's time to float32's."""
    ratios: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(rounds + 1):
        seconds = {}
        for name, session in sessions.items():
            start = time.thread_time()
            session.run(None, {"x": x})
            seconds[name] = time.thread_time() - start
        if number:  # the first is for warming up
            for name, own in ratios.items():
                own.append(seconds[name] / seconds["float32"])
    return {name: float(np.median(own)) for name, own in ratios.items()}


def _measure_memory(file: Path) -> float:
    """Megabytes of a process with the file's session."""
    command = [sys.executable, "-c", _LOAD, str(file), str(WIDTH)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout) / 1000


def _make_table(rows: list[WeightsRow]) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column("file")
    times = [f"time, {tokens} token{'s' * (tokens > 1)}" for tokens in TOKENS]
    for column in ("MB", "memory, MB", "load, s", *times, "largest error", "typical"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(row.file, f"{row.megabytes:.0f}", f"{row.memory:.0f}", f"{row.load_seconds:.2f}"),
            *(f"{row.times[tokens]:.2f}" for tokens in TOKENS),
            *(f"{row.largest:.2%}", f"{row.typical:.3%}"),
        )
    return table


if __name__ == "__main__":
    typer.run(main)
