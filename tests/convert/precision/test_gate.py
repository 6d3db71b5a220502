from unittest.mock import Mock

import numpy as np
import pytest

from convert.artefact.file import serialise
from convert.errors import UsageError
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.precision.gate import RANKED_SAMPLES, Gate
from tests.convert.precision.networks import ROWS, as_own_samples, build_network, build_original, make_samples


def test_sites_are_ranked_by_known_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_original("rows")
    sets = [as_own_samples(make_samples(ROWS, RANKED_SAMPLES // 2, seed))[0] for seed in range(4)]
    gate = Gate(model, sets)
    monkeypatch.setattr(model, "answer_once", None)
    ranking = gate.make_ranking_gate()
    assert ranking.samples == RANKED_SAMPLES
    session = Session(serialise(build_network("rows")[2]), ["row"])
    monkeypatch.undo()
    assert ranking.measure(session) == Gate(model, sets[:2]).measure(session)


def _make_gate(scores: Array, labels: Array) -> Gate:
    """A gate of a model that answers three samples with these scores."""
    answers = {"y": scores.astype(np.float64)}, {"y": scores}
    return Gate(Mock(), as_own_samples(np.zeros((3, 16), np.float32)), labels, answers=[answers])


@pytest.mark.parametrize("rows", [1, 6])
def test_labels_need_an_output_with_a_row_for_each(rows: int) -> None:
    with pytest.raises(UsageError, match=r"3 labels go up to 1, and 0 outputs .*\['y'\]"):
        _make_gate(np.ones((rows, 2), np.float32), np.array([0, 1, 0]))


@pytest.mark.parametrize(
    "file",
    [
        np.array([[np.nan, 1], [0, 1], [0, 1]], np.float32),
        np.ones((6, 2), np.float32),
        np.ones((3,), np.float32),
    ],
)
def test_what_is_no_score_is_never_right(file: Array) -> None:
    gate = _make_gate(np.array([[1, 0], [0, 1], [0, 1]], np.float32), np.array([0, 0, 0]))
    accuracy = gate.measure(Mock(**{"run.return_value": {"y": file}})).accuracy
    assert accuracy is not None
    assert (accuracy.original, accuracy.file) == (1, 0)


@pytest.mark.parametrize("mask", [-np.inf, np.finfo(np.float32).min])
def test_what_a_mask_gives_hides_no_loss_beside_it(mask: float) -> None:
    scores = np.array([[1, 2, mask], [4, 3, mask], [1, 3, mask]], np.float32)
    gate = _make_gate(scores, np.array([1, 0, 1]))
    file = scores + np.array([0.4, 0, 0], np.float32)
    (loss,) = gate.measure(Mock(**{"run.return_value": {"y": file}})).losses
    assert loss.scale == 4.0
    assert loss.largest == pytest.approx(0.1)
    assert (loss.agreed, loss.compared) == (3, 3)


@pytest.mark.parametrize("mask", [-np.inf, np.finfo(np.float32).min])
def test_a_lost_mask_is_an_infinite_loss(mask: float) -> None:
    scores = np.array([[1, 2, mask], [4, 3, mask], [1, 3, mask]], np.float32)
    gate = _make_gate(scores, np.array([1, 0, 1]))
    file = np.where(scores == mask, 0, scores).astype(np.float32)
    (loss,) = gate.measure(Mock(**{"run.return_value": {"y": file}})).losses
    assert loss.largest == np.inf


def test_a_mask_that_bfloat16_cuts_is_kept() -> None:
    mask = np.finfo(np.float32).min
    scores = np.array([[1, 2, mask], [4, 3, mask], [1, 3, mask]], np.float32)
    gate = _make_gate(scores, np.array([1, 0, 1]))
    file = np.where(scores == mask, mask * np.float32(1 - 2**-8), scores)
    (loss,) = gate.measure(Mock(**{"run.return_value": {"y": file}})).losses
    assert loss.largest == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_without_a_finite_number_is_an_infinite_loss(value: float) -> None:
    scores = np.full((3, 2), value, np.float32)
    gate = _make_gate(scores, np.array([1, 0, 1]))
    (loss,) = gate.measure(Mock(**{"run.return_value": {"y": scores}})).losses
    assert loss.largest == np.inf
