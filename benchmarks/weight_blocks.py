"""One large layer in blocks of every size, at both of ONNX Runtime's levels of accuracy."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)
from rich import box
from rich.table import Table

from convert.model_io.array import Array

INPUTS, OUTPUTS = 768, 3072
ROWS = (1, 64)


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One way to store the layer: bytes for each weight, ratios of time by rows, and errors."""

    bits: int
    block: int
    zero_points: bool
    level: int
    bytes_per_weight: float
    times: dict[int, float]
    typical: float


@dataclass(frozen=True, slots=True)
class BlockTable:
    """The rows, and the table of them."""

    rows: list[BlockRow]
    table: Table


def quantise_by_onnx_runtime(
    model: onnx.ModelProto, bits: int, block: int, *, symmetric: bool, level: int
) -> onnx.ModelProto:
    """The graph with its products as ONNX Runtime's quantiser writes them; `level` is its accuracy_level."""
    logging.disable(logging.INFO)
    config = DefaultWeightOnlyQuantConfig(
        block_size=block,
        is_symmetric=symmetric,
        accuracy_level=level,
        bits=bits,
        op_types_to_quantize=("MatMul",),
    )
    quantiser = MatMulNBitsQuantizer(model, algo_config=config)
    quantiser.process()
    result: onnx.ModelProto = quantiser.model.model
    return result


def measure_blocks(rounds: int) -> BlockTable:
    """Every block size, with and without zero points, at both levels."""
    cases = [
        (bits, block, zero_points, level)
        for bits in (8, 4)
        for block in (16, 32, 64, 128)
        for zero_points in (False, True)
        for level in (0, 4)
    ]
    sessions = {case: _open(_build(*case)) for case in cases}
    exact = _open(_make_layer())
    generator = np.random.default_rng(1)
    feeds = {rows: generator.standard_normal((rows, INPUTS)).astype(np.float32) for rows in ROWS}
    times = {rows: _take_turns(exact, sessions, feeds[rows], rounds) for rows in ROWS}
    expected = exact.run(None, {"x": feeds[ROWS[-1]]})[0]
    result = []
    for case, session in sessions.items():
        bits, block, zero_points, _ = case
        errors = session.run(None, {"x": feeds[ROWS[-1]]})[0] - expected
        result.append(
            BlockRow(
                *case,
                bytes_per_weight=bits / 8 + 4 / block + (bits / 8 / block if zero_points else 0),
                times={rows: times[rows][case] for rows in ROWS},
                typical=float(np.sqrt(np.square(errors).mean()) / np.abs(expected).max()),
            )
        )
    return BlockTable(result, _make_table(result))


def _make_layer() -> onnx.ModelProto:
    weights = np.random.default_rng(0).standard_normal((INPUTS, OUTPUTS)).astype(np.float32) / 28
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 21]> layer (float[N, {INPUTS}] x) => (float[N, {OUTPUTS}] y) '
        "{ y = MatMul(x, w) }"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return model


def _build(bits: int, block: int, zero_points: bool, level: int) -> onnx.ModelProto:
    return quantise_by_onnx_runtime(_make_layer(), bits, block, symmetric=not zero_points, level=level)


def _open(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


Case = tuple[int, int, bool, int]


def _take_turns(
    exact: ort.InferenceSession, sessions: Mapping[Case, ort.InferenceSession], x: Array, rounds: int
) -> dict[Case, float]:
    """The ratio of each session's time to float32's, which takes a turn before each."""
    ratios: dict[Case, list[float]] = {case: [] for case in sessions}
    for number in range(rounds + 1):
        for case, session in sessions.items():
            base, own = _time(exact, x), _time(session, x)
            if number:  # the first is for warming up
                ratios[case].append(own / base)
    return {case: float(np.median(own)) for case, own in ratios.items()}


def _time(session: ort.InferenceSession, x: Array) -> float:
    start = time.thread_time()
    session.run(None, {"x": x})
    return time.thread_time() - start


def _make_table(rows: list[BlockRow]) -> Table:
    table = Table(
        box=box.MARKDOWN, title=f"One layer of {INPUTS} × {OUTPUTS}, as ONNX Runtime's quantiser stores it"
    )
    times = [f"time, {rows} row{'s' * (rows > 1)}" for rows in ROWS]
    for column in (
        "bits",
        "block",
        "zero points",
        "accuracy_level",
        "bytes / weight",
        *times,
        "typical error",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(str(row.bits), str(row.block), "yes" if row.zero_points else "no", str(row.level)),
            f"{row.bytes_per_weight:.3f}",
            *(f"{row.times[rows]:.2f}" for rows in ROWS),
            f"{row.typical:.3%}",
        )
    return table
