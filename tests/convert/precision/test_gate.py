import pytest

from convert.artefact.file import serialise
from convert.model_io.runtime import Session
from convert.precision.gate import RANKED_SAMPLES, Gate
from tests.convert.precision.networks import ROWS, data, given, network, original


def test_sites_are_ranked_by_answers_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    model = original("rows")
    sets = [given(data(ROWS, RANKED_SAMPLES // 2, seed))[0] for seed in range(4)]
    gate = Gate(model, sets)
    monkeypatch.setattr(model, "answer_once", None)
    ranking = gate.make_ranking_gate()
    assert ranking.samples == RANKED_SAMPLES
    session = Session(serialise(network("rows")[2]), ["row"])
    monkeypatch.undo()
    assert ranking.measure(session) == Gate(model, sets[:2]).measure(session)
