"""Variants that fail, through REST: what the client gets, and that it is counted."""

from pathlib import Path

import pytest

from serve.engine import Engine
from serve.experiments.store.aggregates import Answers
from serve.experiments.store.database import now
from serve.experiments.store.summaries import Summaries
from serve.experiments.store.tables import inferences
from tests.serve.experiments.store.rows import read_rows
from tests.serve.rest.trials import DEFINITION, INFER, REQUEST, serve, values


def test_an_error_of_the_candidate_says_whose_it_is_and_is_stored(variants: Engine, tmp_path: Path) -> None:
    with serve(variants, tmp_path, DEFINITION.replace("version: 2", "version: 3")) as served:
        for path, body in ((INFER, REQUEST), ("/v1/models/digits:predict", {"instances": [[1, 2, 3]]})):
            answer = served.ask(path, body, x_adaptact_unit="anna", x_request_id="r1")
            assert answer.status_code == 400
            assert answer.headers["x-adaptact-variant"] == "candidate"
            assert answer.headers["x-adaptact-request-id"] == "r1"
        assert values(served.ask(x_adaptact_unit="bert")) == [2, 4, 6]
        served.close()
        statuses = dict(read_rows(served.rollout.store, inferences, "variant", "status"))
        assert statuses["control"] == 0
        assert statuses["candidate"] > 0


def test_an_error_of_a_hidden_experiment_says_nothing(variants: Engine, tmp_path: Path) -> None:
    hidden = DEFINITION.replace("version: 2", "version: 3") + "    hide_from_replies: true\n"
    with serve(variants, tmp_path, hidden) as served:
        answer = served.ask(x_adaptact_unit="anna")
        assert answer.status_code == 400
        assert "x-adaptact-variant" not in answer.headers


@pytest.mark.parametrize("on_error", ["return", "control"])
def test_an_answer_that_json_cannot_hold_is_a_failure_of_its_variant(
    variants: Engine, tmp_path: Path, on_error: str
) -> None:
    roots = DEFINITION.replace("version: 2", "model: roots") + f"    on_error: {on_error}\n"
    negative = {"inputs": [{**REQUEST["inputs"][0], "data": [-1, -2, -3]}]}
    with serve(variants, tmp_path, roots) as served:
        answers = [
            served.ask(body=negative, x_adaptact_unit="anna"),
            served.ask("/v1/models/digits:predict", {"instances": [[-1, -2, -3]]}, x_adaptact_unit="anna"),
        ]
        if on_error == "control":
            assert values(answers[0]) == [-2, -4, -6]
            assert answers[0].json()["model_version"] == "1"
            assert answers[1].json() == {"predictions": [[-2, -4, -6]]}
        else:
            assert [answer.status_code for answer in answers] == [400, 400]
        assert {answer.headers["x-adaptact-variant"] for answer in answers} == {"candidate"}
        counts = served.rollout.trials.metrics.find("exp", "candidate").count()
        assert (counts["answered"], counts["failed"]) == (0, 2)
        served.close()
        stored = read_rows(served.rollout.store, inferences, "variant", "status", "has_nan")
        failures = [(status > 0, has_nan) for variant, status, has_nan in stored if variant == "candidate"]
        assert failures == [(True, 1), (True, 1)]
        found = Summaries(served.rollout.store).requests("exp", 0, now())[Answers("candidate", False)]
        assert (found.errors.counts.rate, found.nans.counts.rate) == (1, 1)
