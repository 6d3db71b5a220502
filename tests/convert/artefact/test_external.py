import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from convert.artefact import external
from convert.artefact.external import place_weights
from convert.artefact.file import serialise, write_model
from convert.artefact.placement import Placement
from convert.errors import DestinationError, UsageError
from convert.pipeline import convert
from convert.sources.load import load
from convert.sources.source import compute_digest
from tests.convert.sources import files


def _make_graph(seed: int = 0) -> ir.Model:
    """A product with 64 × 64 weights, 16 KiB, and a shift of four numbers."""
    numbers = np.random.default_rng(seed)
    weights = [
        onnx.numpy_helper.from_array(numbers.standard_normal((64, 64)).astype(np.float32), "w"),
        onnx.numpy_helper.from_array(np.full(64, seed, np.float32), "s"),
    ]
    text = """<ir_version: 8, opset_import: ["": 20]>
        g (float[N,64] x) => (float[N,64] y) { h = MatMul(x, w) y = Add(h, s) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(weights)
    return ir.from_proto(proto)


def _write(model: ir.Model, destination: Path, mode: Placement = "always") -> str | None:
    with place_weights(model, destination, mode) as file:
        write_model(destination, serialise(file.model))
    return file.data.name if file.data is not None else None


def _run(path: Path) -> float:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return float(np.mean(session.run(None, {"x": np.zeros((1, 64), np.float32)})[0]))


def test_the_weights_lie_beside_the_file_and_small_ones_in_it(tmp_path: Path) -> None:
    name = _write(_make_graph(3), tmp_path / "m.onnx")
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", name]
    held = {
        record.name: record.data_location
        for record in onnx.load(tmp_path / "m.onnx", load_external_data=False).graph.initializer
    }
    assert held == {"w": onnx.TensorProto.EXTERNAL, "s": onnx.TensorProto.DEFAULT}
    assert _run(tmp_path / "m.onnx") == 3


@pytest.mark.parametrize(
    ("mode", "limit", "beside"), [("auto", 10, True), ("auto", 10**6, False), ("never", 10**6, False)]
)
def test_auto_goes_by_the_size_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Placement, limit: int, beside: bool
) -> None:
    monkeypatch.setattr(external, "LARGEST", limit)
    assert (_write(_make_graph(), tmp_path / "m.onnx", mode) is not None) == beside


def test_a_new_pair_replaces_the_old_one_and_the_same_one_stays(tmp_path: Path) -> None:
    first = _write(_make_graph(1), tmp_path / "m.onnx")
    assert _write(_make_graph(1), tmp_path / "m.onnx") == first
    second = _write(_make_graph(2), tmp_path / "m.onnx")
    assert sorted(os.listdir(tmp_path)) == sorted(["m.onnx", str(second)])
    assert _write(_make_graph(2), tmp_path / "m.onnx", "never") is None


def test_a_failure_leaves_the_old_pair_and_nothing_else(tmp_path: Path) -> None:
    _write(_make_graph(1), tmp_path / "m.onnx")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RuntimeError), place_weights(_make_graph(2), tmp_path / "m.onnx", "always"):
        raise RuntimeError("parity failed")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_is_a_clear_error_and_leaves_the_old_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(_make_graph(1), tmp_path / "m.onnx")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DestinationError, match="No space left on device"):
        _write(_make_graph(2), tmp_path / "m.onnx")
    assert len(os.listdir(tmp_path)) == 2
    assert _run(tmp_path / "m.onnx") == 1


def test_a_mode_of_no_meaning_is_wrong_use(tmp_path: Path) -> None:
    often: Any = "often"
    with (
        pytest.raises(UsageError, match="auto, always, never"),
        place_weights(_make_graph(), tmp_path / "m.onnx", often),
    ):
        pass


@pytest.mark.slow
def test_a_file_with_external_data_converts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "SMALLEST", 16)
    manifest = convert(files.write_onnx(tmp_path / "m.onnx"), tmp_path / "out.onnx", external_data="always")
    assert manifest.data is not None
    data = tmp_path / manifest.data.name
    assert (data.stat().st_size, compute_digest(data)) == (manifest.data.bytes, manifest.data.sha256)
    again = convert(tmp_path / "out.onnx", tmp_path / "again.onnx")
    assert again.data is None
    assert again.source_digest == load(tmp_path / "out.onnx").digest


def _is_killed_at(step: int, model: ir.Model, destination: Path) -> bool:
    """Whether a copy of this process, which writes the pair, was killed as it took its `step`-th step.

    A step is a file that is opened, renamed or removed, a tensor that is read, or a wait for the disk.
    """
    child = os.fork()
    if child == 0:
        taken = itertools.count()

        def take(event: str = "os.rename", arguments: object = ()) -> None:
            if event in ("open", "os.rename", "os.remove") and next(taken) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        def stepwise(function: Any) -> Any:
            def stepped(*arguments: Any) -> Any:
                take()
                return function(*arguments)

            return stepped

        os.fsync = stepwise(os.fsync)
        held: Any = ir.serde.TensorProtoTensor
        held.tobytes = stepwise(held.tobytes)
        sys.addaudithook(take)
        _write(model, destination)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 2])
def test_an_end_at_any_step_leaves_a_whole_pair(tmp_path: Path, after: int) -> None:
    destination = tmp_path / "m.onnx"
    _write(_make_graph(1), destination)
    steps = 0
    while _is_killed_at(steps, _make_graph(after), destination):
        assert _run(destination) in {1, after}
        steps += 1
    assert _run(destination) == after
    assert steps > 8
