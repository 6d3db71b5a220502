"""On the CPU's own memory: the same padding, binding and copying as on a GPU, without the recording."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from serve.engine.cuda_graphs import GRAPH, NOT_RECORDED, CudaGraphs
from serve.engine.providers import CudaOptions, make_run_options
from serve.engine.session import Session
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.engine.loading import load_session

BODY = "OUTPUT0 = Neg(x) OUTPUT1 = Abs(x)"


class Options:
    """What a run is told, written down."""

    def __init__(self, told: list[str]) -> None:
        self.native, self._told = make_run_options(), told

    def add_run_config_entry(self, key: str, value: str) -> None:
        assert key == GRAPH
        self._told.append(value)
        self.native.add_run_config_entry(key, value)


def _graphs(folder: Path, text: str, *rows: int) -> CudaGraphs:
    session: Session = load_session(models.put(folder, "m", models.model(text)))
    return CudaGraphs(session._session, session.signature, CudaOptions(graph_rows=rows), device="cpu")


def _run(graphs: CudaGraphs, patch: pytest.MonkeyPatch, **inputs: Array) -> tuple[list[Array], str]:
    """The outputs, and the graph that they came from."""
    replayed: list[str] = []
    run = ort.InferenceSession.run_with_iobinding

    def unwrapped(session: ort.InferenceSession, binding: ort.IOBinding, options: Options) -> None:
        run(session, binding, options.native)

    patch.setattr(ort.InferenceSession, "run_with_iobinding", unwrapped)
    got = graphs.run(inputs, ["OUTPUT1", "OUTPUT0"], Options(replayed))
    patch.undo()
    [graph] = replayed
    return got, graph


@pytest.mark.parametrize(
    ("rows", "graph"), [(1, "2"), (2, "2"), (3, "8"), (8, "8"), (9, NOT_RECORDED), (0, NOT_RECORDED)]
)
def test_requests_are_padded_to_the_next_recorded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, graph: str
) -> None:
    graphs = _graphs(tmp_path, models.ADD_SUB, 8, 2)
    graphs.record(make_run_options())
    left = np.arange(rows * 4, dtype=np.int32).reshape(rows, 4)
    got, used = _run(graphs, monkeypatch, INPUT0=left, INPUT1=np.ones_like(left))
    assert used == graph
    assert [answer.tolist() for answer in got] == [(left - 1).tolist(), (left + 1).tolist()]


def test_the_next_run_does_not_write_over_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = _graphs(tmp_path, models.ADD_SUB, 4)
    ones = np.ones((4, 4), np.int32)
    [first, _], _ = _run(graphs, monkeypatch, INPUT0=5 * ones, INPUT1=ones)
    _run(graphs, monkeypatch, INPUT0=9 * ones, INPUT1=ones)
    assert first.tolist() == (4 * ones).tolist()


@pytest.mark.parametrize("shape", ["N, M", "2"], ids=["two free sizes", "no rows"])
def test_what_is_not_fixed_but_for_its_rows_is_never_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    text = f"m (float[{shape}] x) => (float[{shape}] OUTPUT0, float[{shape}] OUTPUT1) {{ {BODY} }}"
    graphs = _graphs(tmp_path, text, 2)
    graphs.record(make_run_options())
    ones = np.ones((2, 2) if "M" in shape else 2, np.float32)
    got, used = _run(graphs, monkeypatch, x=-ones)
    assert used == NOT_RECORDED
    assert got[0].tolist() == ones.tolist()
