import pytest

from convert.artefact.file import serialise
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
