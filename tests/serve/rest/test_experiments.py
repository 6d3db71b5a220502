"""The routes of experiments, in the application."""

import io
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve.engine import Engine
from serve.experiments.store.tables import outcomes
from serve.rest.access import right_for
from serve.rest.app import create_app
from serve.rollout.rollout import Rollout
from serve.settings import Settings
from tests.serve.experiments.definitions import make_document
from tests.serve.experiments.store.rows import read_rows
from tests.serve.in_process import Client

PREFIX = "/adaptact/v1"
KNOWN: dict[str, Any] = {"duplicate": 0, "refused": 0, "reasons": [], "unmatched": 0}
NEW = {"new": 1, **KNOWN, "unknown": 0, "unknown_metrics": []}
BOUGHT = {"name": "bought", "kind": "ratio", "denominator": "visits", "is_primary": True}
EXPERIMENT = f"{PREFIX}/experiments/exp"
DOCUMENT = make_document(control={"name": "control", "version": "1"}, stages={"shadow_share": 0})


class Served:
    def __init__(self, client: Client, rollout: Rollout) -> None:
        self.client = client
        self.rollout = rollout

    def put(self, document: Any = DOCUMENT, path: str = EXPERIMENT) -> httpx.Response:
        return self.client.request("PUT", path, orjson.dumps(document))

    def act(self, act: str, body: Any = b"") -> httpx.Response:
        return self.client.post(f"{EXPERIMENT}:{act}", body)

    def feedback(self, body: Any) -> httpx.Response:
        return self.client.post(f"{PREFIX}/feedback", body)

    def bulk(self, body: bytes, kind: str) -> httpx.Response:
        return self.client.post(f"{PREFIX}/feedback:bulk", body, {"content-type": kind})


@pytest.fixture
def served(experimenting: Client, rollout: Rollout) -> Served:
    return Served(experimenting, rollout)


def test_an_experiment_goes_from_its_definition_to_its_promotion(served: Served, variants: Engine) -> None:
    assert served.put().json()["phase"]["stage"] == "draft"
    started = served.act("start", {"reason": "to see"}).json()
    assert (started["phase"]["stage"], started["phase"]["reason"]) == ("ramp", "to see")
    assert started["possible"] == ["advance", "pause", "stop", "promote", "amend"]
    assert served.act("pause").json()["phase"]["stage"] == "paused"
    assert served.act("resume").json()["phase"]["stage"] == "ramp"
    assert served.act("advance").json()["phase"]["step_percent"] == 5
    # What an act changes is so once it is answered.
    assert served.rollout.trials.routes
    assert served.act("promote", {"candidate": "candidate"}).json()["phase"]["promoted"] == "candidate"
    assert variants.model("digits").version == "2"
    assert not served.rollout.trials.routes
    assert [phase["stage"] for phase in served.client.get(f"{EXPERIMENT}/phases").json()][-1] == "promoted"
    entries = served.client.get(f"{EXPERIMENT}/audit").json()["entries"]
    assert [entry["action"] for entry in entries][:2] == ["promote", "advance"]


@pytest.mark.parametrize("reason", ["a\0b", "x" * 1001, 5])
def test_a_reason_that_no_store_can_keep_is_refused(served: Served, reason: Any) -> None:
    served.put()
    refused = served.act("start", {"reason": reason})
    assert (refused.status_code, "`reason` is" in refused.json()["error"]) == (400, True)
    assert served.client.get(EXPERIMENT).json()["phase"]["stage"] == "draft"


def test_experiments_are_listed_and_read(served: Served) -> None:
    served.put()
    listed = served.client.get(f"{PREFIX}/experiments").json()["experiments"]
    assert [each["name"] for each in listed] == ["exp"]
    assert served.client.get(EXPERIMENT).json() == listed[0]
    assert listed[0]["definition"]["candidates"][0]["version"] == "2"
    assert served.put(listed[0]["definition"]).json()["revision"] == 1


def test_results_hold_verdict_and_sentence_in_both_languages(served: Served) -> None:
    served.put()
    english = served.client.get(f"{EXPERIMENT}/results").json()
    assert {"verdict", "sentence", "metrics", "guardrails", "sample_ratio", "exposures", "phase"} <= set(
        english
    )
    japanese = served.client.request("GET", f"{EXPERIMENT}/results", headers={"Accept-Language": "ja"}).json()
    assert japanese["sentence"] != english["sentence"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "status", "text"),
    [
        ({**DOCUMENT, "colour": 1}, 400, "colour"),
        ({}, 400, "`name`"),
        ({**DOCUMENT, "name": "other"}, 400, "the name in the path"),
        ({**DOCUMENT, "candidates": [{"name": "c", "model": "other"}]}, 400, "cannot stand in"),
        ({**DOCUMENT, "candidates": [{"name": "c", "version": "17"}]}, 404, "`17`"),
    ],
)
def test_a_wrong_definition_is_refused_in_words(
    served: Served, document: Any, status: int, text: str
) -> None:
    answer = served.put(document)
    assert (answer.status_code, text in answer.json()["error"]) == (status, True)


def test_what_the_stage_does_not_allow_is_a_conflict(served: Served) -> None:
    served.put()
    answer = served.act("advance")
    assert answer.status_code == 409
    assert "possible now: `start`" in answer.json()["error"]
    assert served.client.post(f"{PREFIX}/experiments/none:start").status_code == 404
    assert served.client.get(f"{PREFIX}/experiments/none").status_code == 404


def test_feedback_is_stored_once(served: Served) -> None:
    served.put({**DOCUMENT, "metrics": [BOUGHT]})
    outcome = {"unit": "anna", "metric": "bought", "value": 1, "time": "2026-11-01T10:00:00Z"}
    assert served.feedback(outcome).json() == NEW
    assert served.feedback(outcome).json()["duplicate"] == 1
    assert read_rows(served.rollout.store, outcomes, "unit", "metric", "value") == [
        (served.rollout.ids.hash_unit("anna"), "bought", 1.0)
    ]


def test_feedback_with_a_metric_of_no_experiment_is_stored_and_said(served: Served) -> None:
    bough = {"metric": "bough", "count": 1, "suggestion": None}
    unknown = {"new": 1, **KNOWN, "unknown": 1, "unknown_metrics": [bough]}
    assert served.feedback({"unit": "anna", "metric": "bough", "value": 1}).json() == unknown
    served.put({**DOCUMENT, "metrics": [BOUGHT]})
    metrics = ["bough", "visits", "label", "colour", "bough", "bought"]
    lines = [orjson.dumps({"unit": "bert", "metric": each, "value": n}) for n, each in enumerate(metrics)]
    receipt = served.bulk(b"\n".join(lines), "application/x-ndjson").json()
    assert (receipt["new"], receipt["refused"], receipt["unknown"]) == (6, 0, 3)
    assert receipt["unknown_metrics"] == [
        {"metric": "bough", "count": 2, "suggestion": "did you mean `bought`?"},
        {"metric": "colour", "count": 1, "suggestion": None},
    ]
    assert len(read_rows(served.rollout.store, outcomes)) == 7
    assert "adaptact_feedback_unknown_metric_total 4.0" in served.client.get("/metrics").text


def test_a_metric_that_is_defined_later_is_known_from_then_on(served: Served) -> None:
    served.put()
    outcome = {"unit": "anna", "metric": "bought", "value": 1}
    assert served.feedback(outcome).json()["unknown"] == 1
    served.put({**DOCUMENT, "metrics": [BOUGHT]})
    again = served.feedback(outcome).json()
    assert (again["duplicate"], again["unknown"]) == (1, 0)


def test_a_receipt_names_only_the_most_frequent_unknown_metrics(served: Served) -> None:
    lines = [orjson.dumps({"unit": "a", "metric": f"m{n % 30}", "value": n}) for n in range(65)]
    receipt = served.bulk(b"\n".join(lines), "application/x-ndjson").json()
    assert (receipt["unknown"], len(receipt["unknown_metrics"])) == (65, 20)
    assert receipt["unknown_metrics"][0] == {"metric": "m0", "count": 3, "suggestion": None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ({}, "`metric`, which is missing"),
        ({"metric": "m", "value": 1}, "a request id or a unit"),
        ({"metric": "m", "value": "1", "unit": "a"}, "a number as value"),
        ({"metric": "m", "value": 1, "unit": "a", "colour": 1}, "unknown field `colour`"),
        ({"metric": "m", "value": 1, "unit": "a", "time": "3026-01-01T00:00:00Z"}, "a time that has come"),
    ],
)
def test_feedback_that_cannot_be_is_refused(served: Served, outcome: Any, text: str) -> None:
    answer = served.feedback(outcome)
    assert (answer.status_code, text in answer.json()["error"]) == (400, True)


def test_files_of_feedback_are_stored_and_their_mistakes_named(served: Served) -> None:
    lines = b'{"unit": "a", "metric": "m", "value": 1}\nrubbish\n{"unit": "b", "metric": "m", "value": 2}\n'
    receipt = served.bulk(lines, "application/x-ndjson").json()
    assert (receipt["new"], receipt["refused"], receipt["reasons"][0]["place"]) == (2, 1, 2)
    table = b"unit,metric,value\na,n,1\n"
    assert served.bulk(table, "text/csv; charset=utf-8").json()["new"] == 1
    file = io.BytesIO()
    pq.write_table(pa.table({"unit": ["a"], "metric": ["p"], "value": [1.5]}), file)
    assert served.bulk(file.getvalue(), "application/vnd.apache.parquet").json()["new"] == 1
    assert served.bulk(b"x", "image/png").status_code == 400
    assert served.bulk(b"x", "application/vnd.apache.parquet").status_code == 400


def test_reading_reporting_and_changing_are_three_roles() -> None:
    assert right_for("GET", f"{PREFIX}/experiments") == "metrics"
    assert right_for("GET", f"{EXPERIMENT}/results") == "metrics"
    assert right_for("POST", f"{PREFIX}/feedback") == "feedback"
    assert right_for("POST", f"{PREFIX}/feedback:bulk") == "feedback"
    assert right_for("PUT", EXPERIMENT) == "admin"
    for act in ("start", "promote"):
        assert right_for("POST", f"{EXPERIMENT}:{act}") == "admin"


def test_without_a_store_there_are_no_routes(variants: Engine, tmp_path: Path) -> None:
    client = Client(create_app(variants, Settings(models=tmp_path)))
    assert client.get(f"{PREFIX}/experiments").status_code == 404
