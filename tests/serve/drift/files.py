"""A small model whose file holds the baseline of its samples."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
import orjson
from prometheus_client import CollectorRegistry

from convert.evidence.baseline import find_reaching, record_baseline
from convert.graph.nodes import SCOPES
from convert.manifest.baseline import BaselineRecord
from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from serve.drift.baseline import Baseline, read_baseline
from serve.drift.monitor import DriftMonitor
from serve.drift.options import DriftOptions
from serve.engine import Engine, Metrics, open_engine
from serve.engine.datatypes import BY_DTYPE
from serve.engine.signature import Signature, TensorSpec
from tests.serve import models
from tests.serve.conftest import options

NET = "net (float[N, 2] x) => (float[N, 2] y) { inner = Add(x, x) y = Abs(inner) }"
IDS = "net (int64[N] ids) => (int64[N] same) { same = Identity(ids) }"
WORDS = "net (string[N] words) => (string[N] same) { same = Identity(words) }"
ALL = DriftOptions(requests_per_second=1e9)


def draw(rows: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, 2)).astype(np.float32)


def make_record(text: str, *arrays: Array) -> BaselineRecord:
    """The baseline of these samples; `Abs` is the activation."""
    proto = models.model(text)
    model = ir.from_proto(proto)
    for node in model.graph:
        if node.op_type == "Abs":
            node.metadata_props[SCOPES] = "['', 'act', 'abs']"
    samples = SampleSet("given", arrays, given=True)
    reaching = find_reaching(model.graph, ["act"])
    record = record_baseline(model.graph, proto.SerializeToString(), [samples], reaching, "cpu")
    assert record is not None
    return record


def make_baseline(text: str, *arrays: Array) -> dict[str, Any]:
    """The same, as a server reads it."""
    content: dict[str, Any] = orjson.loads(make_record(text, *arrays).to_json())
    return content


def put(folder: Path, text: str, *arrays: Array, name: str = "net", version: str = "1") -> None:
    made = models.with_manifest(models.model(text), {"baseline": make_baseline(text, *arrays)})
    models.put(folder, name, made, version)


def describe(
    array: Array, *, inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ("y",)
) -> Signature:
    """A signature whose tensors are all like the array."""
    datatype = BY_DTYPE[array.dtype]
    shape = ("N", *array.shape[1:])
    specs = [tuple(TensorSpec(name, datatype, shape) for name in names) for names in (inputs, outputs)]
    return Signature(*specs)


def read(
    text: str, *arrays: Array, inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ("y",)
) -> Baseline:
    signature = describe(arrays[0], inputs=inputs, outputs=outputs)
    return read_baseline(make_baseline(text, *arrays), signature, outputs)


def open_watched(folder: Path, monitor: DriftMonitor) -> Engine:
    return open_engine(options(folder, observe=monitor.watch), Metrics(CollectorRegistry()))


class Watched(NamedTuple):
    """An engine, and who watches its versions."""

    engine: Engine
    monitor: DriftMonitor


@contextmanager
def open_two(folder: Path) -> Iterator[Watched]:
    """An engine of `net`, whose baseline is of normal values, and of `plain`, which has none."""
    put(folder, NET, draw(1000))
    models.put(folder, "plain", models.model(models.DOUBLE))
    monitor = DriftMonitor(ALL)
    engine = open_watched(folder, monitor)
    yield Watched(engine, monitor)
    engine.close()
    monitor.close()


def ask(engine: Engine, monitor: DriftMonitor, array: Array, name: str = "x") -> None:
    """Ask `net` in requests of 16 rows, and count them."""

    async def run() -> None:
        model = engine.model("net")
        for start in range(0, len(array), 16):
            await engine.run(model, {name: array[start : start + 16]})

    asyncio.run(run())
    monitor.count_now()
