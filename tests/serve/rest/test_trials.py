"""Experiments through REST: who answers, what the reply says, and that nothing else changes."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serve.access.proxies import Proxies
from serve.engine import Engine
from serve.engine.errors import QueueFullError
from serve.engine.model import ServedModel
from serve.experiments import stages
from serve.experiments.stages import Change
from serve.experiments.store.database import now
from serve.experiments.store.logged_samples import read_samples
from serve.experiments.store.outcome_queries import OutcomeQuery
from serve.experiments.store.summaries import Summaries
from serve.experiments.store.tables import exposures, inferences
from serve.observe.observers import Observers, Telemetry
from serve.rest.app import create_app
from serve.rest.middleware import ObservingMiddleware
from serve.settings import Settings
from tests.serve.experiments.store.rows import read_rows
from tests.serve.in_process import Client
from tests.serve.pages import read_page
from tests.serve.rest.trials import DEFINITION, INFER, REQUEST, Served, serve, values
from tests.waiting import until

BULK = "/adaptact/v1/feedback:bulk"
JSON_LINES = {"content-type": "application/x-ndjson"}
RECEIPT: dict[str, Any] = {"new": 0, "duplicate": 0, "refused": 0, "reasons": [], "unmatched": 0}
RECEIPT |= {"unknown": 0, "unknown_metrics": []}


@pytest.fixture
def served(variants: Engine, tmp_path: Path) -> Iterator[Served]:
    with serve(variants, tmp_path) as opened:
        yield opened


def test_the_units_variant_answers_and_the_reply_says_so(served: Served) -> None:
    answer = served.ask(x_adaptact_unit="anna", x_request_id="r1")
    assert values(answer) == [3, 6, 9]
    reply = answer.json()
    assert reply["parameters"] == {
        "adaptact_experiment": "exp",
        "adaptact_variant": "candidate",
        "adaptact_request_id": "r1",
    }
    # Under the name that the client gave, by the version that ran.
    assert (reply["model_name"], reply["model_version"]) == ("digits", "2")
    assert answer.headers["x-adaptact-experiment"] == "exp"
    assert answer.headers["x-adaptact-variant"] == "candidate"
    assert answer.headers["x-adaptact-request-id"] == "r1"
    assert values(served.ask(x_adaptact_unit="bert")) == [2, 4, 6]


def test_a_request_parameter_names_the_unit_too(served: Served) -> None:
    assert values(served.ask(body={**REQUEST, "parameters": {"unit_id": "anna"}})) == [3, 6, 9]
    # The header counts first.
    both = {**REQUEST, "parameters": {"unit_id": "anna"}}
    assert values(served.ask(body=both, x_adaptact_unit="bert")) == [2, 4, 6]


class Lookups(dict[str, Any]):
    """Says what was looked up in it."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:
        self.made.append(name)
        return super().get(name, default)


def test_a_request_of_another_model_costs_one_look_up_and_nothing_else_of_experiments(
    served: Served, variants: Engine, tmp_path: Path
) -> None:
    lookups = Lookups()
    # Whatever else is asked of it, it does not have.
    trials: Any = SimpleNamespace(routes=lookups, metrics=served.rollout.trials.metrics)
    rollout = replace(served.rollout, trials=trials)
    client = Client(create_app(variants, Settings(models=tmp_path), rollout=rollout))
    for path, body in (("/v2/models/twin/infer", REQUEST), ("/v1/models/twin:predict", {"instances": [[1]]})):
        lookups.made.clear()
        client.post(path, body, {"x-adaptact-unit": "anna"})
        assert lookups.made == ["twin"]


def test_who_names_a_version_is_in_no_experiment(served: Served) -> None:
    answer = served.ask("/v2/models/digits/versions/1/infer", x_adaptact_unit="anna")
    assert values(answer) == [2, 4, 6]
    assert "parameters" not in answer.json()
    assert "x-adaptact-variant" not in answer.headers


def test_binary_tensors_are_answered_by_the_variant_too(served: Served) -> None:
    row = np.array([[1, 2, 3]], np.float32).tobytes()
    head = orjson.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
            ],
            "parameters": {"binary_data_output": True},
        }
    )
    answer = served.ask(
        body=head + row, x_adaptact_unit="anna", inference_header_content_length=str(len(head))
    )
    json_bytes = int(answer.headers["inference-header-content-length"])
    assert np.frombuffer(answer.content[json_bytes:], np.float32).tolist() == [3, 6, 9]
    reply = orjson.loads(answer.content[:json_bytes])
    assert reply["parameters"]["adaptact_variant"] == "candidate"
    assert reply["model_version"] == "2"


def test_predict_is_answered_by_the_variant_too(served: Served) -> None:
    answer = served.ask("/v1/models/digits:predict", {"instances": [[1, 2, 3]]}, x_adaptact_unit="anna")
    assert answer.json() == {"predictions": [[3, 6, 9]]}
    assert answer.headers["x-adaptact-variant"] == "candidate"


def test_half_of_the_units_get_each_variant_every_time(served: Served) -> None:
    def ask(unit: str) -> str:
        return str(served.ask(x_adaptact_unit=unit).headers.get("x-adaptact-variant", "none"))

    first = [ask(f"unit-{number}") for number in range(60)]
    assert first == [ask(f"unit-{number}") for number in range(60)]
    assert {"control", "candidate", "none"} == set(first)


def test_exposures_and_inferences_are_stored_under_hashes(served: Served) -> None:
    for number in range(20):
        served.ask(x_adaptact_unit=f"unit-{number}", x_request_id=f"r{number}")
    answers = {
        f"unit-{number}": served.ask(x_adaptact_unit=f"unit-{number}").headers.get("x-adaptact-variant")
        for number in range(20)
    }
    served.close()
    store = served.rollout.store
    hash_unit = served.rollout.ids.hash_unit
    expected = {(hash_unit(unit), variant) for unit, variant in answers.items() if variant}
    assert set(read_rows(store, exposures, "unit", "variant")) == expected
    stored = {row[0] for row in read_rows(store, inferences, "request_id")}
    assert {f"r{number}" for number in range(20) if answers[f"unit-{number}"]} <= stored


def test_outcomes_by_issued_ids_are_joined_though_no_answer_is_stored(served: Served) -> None:
    served.rollout.trials._sampler._most_at_once = 0
    replies = [served.ask(x_adaptact_unit=f"unit-{number % 40}").headers for number in range(80)]
    issued = [headers["x-adaptact-request-id"] for headers in replies if "x-adaptact-variant" in headers]
    assert 10 < len(issued) == len(set(issued))
    rows = [{"request_id": each, "metric": "right", "value": 1} for each in issued]
    receipt = served.client.post(BULK, b"\n".join(map(orjson.dumps, rows)), JSON_LINES)
    assert receipt.json() == {**RECEIPT, "new": len(issued)}
    # An id that the client chose is not joined, since its answer is not stored.
    chosen = {"request_id": "r1", "metric": "right", "value": 1}
    served.ask(x_adaptact_unit="unit-1", x_request_id="r1")
    assert served.client.post("/adaptact/v1/feedback", chosen).json() == {**RECEIPT, "new": 1, "unmatched": 1}
    assert "adaptact_feedback_unmatched_total 1.0" in served.client.get("/metrics").text
    served.rollout.recorder.close()
    assert read_rows(served.rollout.store, inferences) == []
    query = OutcomeQuery("exp", 1, "right", "mean")
    found = Summaries(served.rollout.store).outcomes(query, now())
    assert sum(each.units for each in found.values()) == len(issued) / 2
    assert sum(each.without for each in found.values()) == 0


def test_a_request_that_is_its_own_unit_is_joined_if_it_takes_part(served: Served) -> None:
    sampler, rows = served.rollout.trials._sampler, []
    for most in (1000, 0):
        sampler._most_at_once = most
        replies = [served.ask().headers for _ in range(16)]
        rows.append([each["x-adaptact-request-id"] for each in replies if "x-adaptact-variant" in each])
    unmatched = []
    for issued in rows:
        outcomes = [{"request_id": each, "metric": "right", "value": 1} for each in issued]
        body = b"\n".join(map(orjson.dumps, outcomes))
        unmatched.append(served.client.post(BULK, body, JSON_LINES).json()["unmatched"])
    assert unmatched == [0, len(rows[1])]
    served.rollout.recorder.close()
    query = OutcomeQuery("exp", 1, "right", "mean")
    found = Summaries(served.rollout.store).outcomes(query, now())
    assert sum(each.units - each.without for each in found.values()) == len(rows[0])


def test_a_traced_request_says_who_answered(served: Served) -> None:
    kept = InMemorySpanExporter()
    telemetry = Telemetry(kept)
    traced = Client(ObservingMiddleware(served.client._app, Observers(telemetry=telemetry), Proxies()))
    traced.post(INFER, REQUEST, {"x-adaptact-unit": "anna"})
    traced.post("/v1/models/digits:predict", {"instances": [[1, 2, 3]]}, {"x-adaptact-unit": "bert"})
    traced.post("/v2/models/digits/versions/1/infer", REQUEST, {"x-adaptact-unit": "anna"})
    telemetry.close()
    attributes = [span.attributes or {} for span in kept.get_finished_spans()]
    assert [each.get("adaptact.variant") for each in attributes] == ["candidate", "control", None]
    assert [each.get("adaptact.experiment") for each in attributes] == ["exp", "exp", None]


def test_the_documented_series_are_those_that_are_shown(served: Served) -> None:
    served.ask(x_adaptact_unit="anna")
    text = served.client.get("/metrics").text
    shown = {
        (line.split("{")[0].split(" ")[0], frozenset(re.findall(r'(\w+)="', line)) - {"le"})
        for line in text.splitlines()
        if line.startswith(("adaptact_experiment_", "adaptact_feedback_"))
    }
    families = {(re.sub("_(bucket|count|sum)$", "", name), labels) for name, labels in shown}
    page = read_page("observability").split("## Experiments\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(adaptact_\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert families == {(name, frozenset(re.findall(r"`(\w+)`", labels))) for name, labels in rows}
    answered = 'requests_total{experiment="exp",outcome="answered",variant="candidate"} 1.0'
    assert answered in text


def test_a_request_is_refused_at_its_head_once_no_variant_has_room(
    served: Served, variants: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = {"1"}

    def refuse(model: ServedModel) -> QueueFullError | None:
        return QueueFullError("full", 1.0) if model.version in full else None

    def is_refused(path: str) -> bool:
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        refusing: Any = served.client._app
        return refusing.refuse(scope) is not None

    monkeypatch.setattr(variants, "refuse", refuse)
    assert not is_refused(INFER)
    assert is_refused("/v2/models/digits/versions/1/infer")
    full.add("2")
    assert is_refused(INFER)


def test_a_share_of_inputs_and_outputs_is_logged_for_later_labels(variants: Engine, tmp_path: Path) -> None:
    with serve(variants, tmp_path, f"{DEFINITION}    log: {{share: 1}}\n") as served:
        asked = served.ask(x_adaptact_unit="anna")
        issued = asked.headers["x-adaptact-request-id"]
        label = {"request_id": issued, "metric": "class", "value": 7}
        served.client.post("/adaptact/v1/feedback", label)
        served.rollout.recorder.close()
        (logged,) = read_samples(served.rollout.store, "exp")
    assert (logged.request_id, logged.variant, logged.labels) == (issued, "candidate", {"class": 7})
    assert np.load(BytesIO(logged.inputs))["x"].tolist() == [[1, 2, 3]]
    assert np.load(BytesIO(logged.outputs))["y"].tolist() == [[3, 6, 9]]


def test_what_is_too_large_to_be_logged_is_lost_alone(variants: Engine, tmp_path: Path) -> None:
    large = {"inputs": [{**REQUEST["inputs"][0], "shape": [100_000, 3], "data": [1] * 300_000}]}
    with serve(variants, tmp_path, f"{DEFINITION}    log: {{share: 1}}\n") as served:
        assert served.ask(body=large, x_adaptact_unit="anna").status_code == 200
        recorder = served.rollout.recorder
        recorder.close()
        # Exposures are noted again where notes were lost, which they were not.
        assert (recorder.count_lost(), recorder._count_lost_notes()) == (1, 0)
        assert list(read_samples(served.rollout.store, "exp")) == []


def test_stopping_answers_everybody_as_before(served: Served) -> None:
    change = Change(2, "anne")
    served.rollout.registry.act("exp", "stop", change, partial(stages.stop, change=change))
    served.rollout.follower.hurry()
    until(lambda: not served.rollout.trials.routes)
    answer = served.ask(x_adaptact_unit="anna")
    assert values(answer) == [2, 4, 6]
    assert "x-adaptact-variant" not in answer.headers
