from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from serve.drift import layers
from serve.drift.layers import LayerProbe
from serve.engine.errors import InvalidInputError, ModelRefusedError
from serve.engine.signature import Array, Signature, TensorSpec
from tests.serve.drift.files import describe, draw

SIGNATURE = describe(draw(1))


class Inner:
    """A session that gives out tensors of these shapes beside the batch."""

    def __init__(self, **shapes: tuple[int | str, ...]) -> None:
        datatype = SIGNATURE.inputs[0].datatype
        self.signature = Signature(
            (), tuple(TensorSpec(name, datatype, ("N", *shape)) for name, shape in shapes.items())
        )
        self.asked: list[list[str]] = []
        self.error: Exception | None = None

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str], options: object) -> list[Array]:
        self.asked.append(list(outputs))
        if self.error is not None:
            raise self.error
        return [inputs["x"] for _ in outputs]


def _make_probe(session: Inner | Exception, *names: str) -> LayerProbe:
    def load(wanted: Sequence[str]) -> Inner:
        assert tuple(wanted) == names
        if isinstance(session, Exception):
            raise session
        return session

    return LayerProbe("model", names, SIGNATURE, load, 30.0)  # type: ignore[arg-type]


def test_few_rows_are_kept_as_a_copy() -> None:
    values = draw(9)
    kept = _make_probe(Inner(a=()), "a").keep({"x": values}, 9)
    assert kept is not None
    before = values[: layers.MOST_ROWS].copy()
    values[:] = 0
    np.testing.assert_array_equal(kept["x"], before)


def test_large_inputs_are_not_kept() -> None:
    large = np.zeros((1, 2**19), np.float32)
    assert _make_probe(Inner(a=()), "a").keep({"x": large}, 1) is None


def test_large_tensors_are_given_out_in_turn() -> None:
    session = Inner(a=(10,), b=(2**19,), c=(2**19, 2), d=("T", 4), e=(3,), f=(4,))
    probe = _make_probe(session, *"abcdef")
    for _ in range(5):
        probe.run({"x": draw(1)})
    assert session.asked == [["a", "b"], ["c"], ["d"], ["e", "f"], ["a", "b"]]


def test_it_waits_as_long_as_its_share_of_the_time_says(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(layers, "perf_counter", lambda: now)
    probe = _make_probe(Inner(a=()), "a")
    assert probe.wants()
    probe.keep({"x": draw(1)}, 1)
    assert not probe.wants()
    now += 0.99 * layers.SECONDS / layers.SHARE
    assert not probe.wants()
    now += 0.02 * layers.SECONDS / layers.SHARE
    assert probe.wants()


def test_a_run_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(layers, "perf_counter", lambda: now)
    session = Inner(a=())
    probe = _make_probe(session, "a")
    session.error = InvalidInputError("no elements")
    assert probe.run({"x": draw(1)}) == {}
    assert not probe.wants()
    session.error = None
    now += layers.FAILED_SECONDS
    assert probe.wants()
    assert list(probe.run({"x": draw(1)})) == ["a"]


def test_a_model_that_does_not_load_again_is_left() -> None:
    probe = _make_probe(ModelRefusedError("it has changed"), "a")
    assert probe.run({"x": draw(1)}) == {}
    assert not probe.wants()
