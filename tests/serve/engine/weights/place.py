"""Models with weights, and a folder in which they are shared."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serve.engine.model_files import compute_digest, open_files
from serve.engine.opening import Opened
from serve.engine.repository import ModelFile
from serve.engine.session import Session, SessionOptions
from serve.engine.weights import prepacked
from serve.engine.weights.options import WeightsOptions
from serve.engine.weights.prepacked import SharedWeights
from tests.serve import models

OPTIONS = SessionOptions(1)
RANDOM = np.random.default_rng(0)
GEMM = "gemm (float[N, 48] x) => (float[N, 40] y) { h = Gemm(x, w) r = Relu(h) y = MatMul(r, v) }"
CONV = "conv (float[N, 3, 6, 6] x) => (float[N, 32, 6, 6] y) { h = Conv<pads=[1,1,1,1]>(x, w) y = Relu(h) }"
HALF = "half (float16[N, 48] x) => (float16[N, 40] y) { y = MatMul(x, w) }"
LSTM = "lstm (float[4, N, 24] x) => (float[4, 1, N, 16] y) { y = LSTM<hidden_size = 16>(x, w, v) }"
EMPTY = LSTM.replace("lstm (float[4, N, 24]", "empty (float[4, 0, 24]")
CHOICE = """choice (float[N, 48] x, bool which) => (float[N, 40] y) {
    y = If(which) <
        then_branch = first () => (float[N, 40] a) { a = MatMul(x, w) },
        else_branch = second () => (float[N, 40] b) { b = MatMul(x, v) }
    >
}"""
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    GEMM: {"w": (48, 40), "v": (40, 40)},
    CONV: {"w": (32, 3, 3, 3)},
    HALF: {"w": (48, 40)},
    LSTM: {"w": (1, 64, 24), "v": (1, 64, 16)},
    EMPTY: {"w": (1, 64, 24), "v": (1, 64, 16)},
    CHOICE: {"w": (48, 40), "v": (48, 40)},
}


def make_model(text: str = GEMM, factor: float = 1.0) -> onnx.ModelProto:
    made = models.model(text)
    dtype = np.float16 if text == HALF else np.float32
    random = np.random.default_rng(1)
    for name, shape in SHAPES[text].items():
        values = (factor * random.standard_normal(shape)).astype(dtype)
        made.graph.initializer.append(numpy_helper.from_array(values, name))
    made.metadata_props.add(key="about", value="kept")
    return made


def make_quantised() -> onnx.ModelProto:
    made = models.model("""quantised (float[N, 64] x) => (float[N, 64] y) {
        scale = Constant<value = float {0.02}>()
        zero = Constant<value = uint8 {128}>()
        q = QuantizeLinear(x, scale, zero)
        d = DequantizeLinear(q, scale, zero)
        k = DequantizeLinear(w, ws, wz)
        h = MatMul(d, k)
        p = QuantizeLinear(h, scale, zero)
        y = DequantizeLinear(p, scale, zero)
    }""")
    weights = RANDOM.integers(-127, 127, (64, 64)).astype(np.int8)
    for name, array in (("w", weights), ("ws", np.float32(0.01)), ("wz", np.int8(0))):
        made.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return made


class Place:
    """A folder of weights, a model, and how it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.options = WeightsOptions(folder / "cache", 2**30, wait_seconds=0.2, least_bytes=0)
        self.path = models.put(folder, "m", make_model())
        self.opened: list[Opened | None] = []

    def load(self, options: SessionOptions = OPTIONS, *, weights: SharedWeights | None = None) -> Session:
        shared = weights or SharedWeights(self.options)
        with open_files(ModelFile("m", "1", self.path), 2**30) as files:
            return Session(files, options, opener=partial(self._open, shared, compute_digest(files)))

    def _open(self, shared: SharedWeights, digest: str, *others: object) -> Opened | None:
        self.opened.append(shared.open(digest, *others))  # type: ignore[arg-type]
        return self.opened[-1]

    def load_plainly(self) -> Session:
        with open_files(ModelFile("m", "1", self.path), 2**30) as files:
            return Session(files, OPTIONS)

    def entry(self) -> Path:
        (found,) = self.options.folder.glob("*/" + 64 * "?")
        return found


def refuse_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it is made")

    monkeypatch.setattr(prepacked, "_save", fail)


def answer(session: Session, rows: int = 3) -> list[bytes]:
    random = np.random.default_rng(2)
    inputs = {}
    for spec in session.signature.inputs:
        shape = [rows if isinstance(size, str) else size for size in spec.shape]
        inputs[spec.name] = random.standard_normal([size or 1 for size in shape]).astype(spec.datatype.dtype)
    return [array.tobytes() for array in session.run(inputs, session.signature.choose_outputs(None))]
