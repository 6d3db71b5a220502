from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.access.keys import format_key
from serve.engine import Metrics, open_engine
from serve.rest.app import create_app
from serve.settings import Settings
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.in_process import Client

LABELS = ("model", "version", "stage", "code")
TWO_ROWS = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1] * 6}]}


@pytest.fixture
def third(tmp_path: Path, metrics: Metrics) -> Iterator[Client]:
    """A client of a server whose one model has only version 3."""
    models.put(tmp_path, "double", models.model(models.DOUBLE), "3")
    engine = open_engine(options(tmp_path), metrics)
    yield Client(create_app(engine, Settings(models=tmp_path)))
    engine.close()


def _samples(client: Client) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(sample.labels.get(label, "") for label in LABELS)): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_model_version_and_code(third: Client) -> None:
    for path, body in (
        ("/v2/models/double/infer", {}),
        ("/v1/models/double:predict", {"instances": [[1, 2, 3]]}),
        ("/v1/models/double/versions/3:predict", {"instances": [[1, 2, 3]]}),
        ("/v1/models/double/versions/4:predict", {"instances": [[1, 2, 3]]}),
        ("/v2/models/anything/infer", {}),
        ("/v2/models/whatever/infer", {}),
    ):
        third.post(path, body)
    counted = {
        key[1:3] + key[4:]: value for key, value in _samples(third).items() if "requests_total" in key[0]
    }
    assert counted == {("double", "3", "400"): 1, ("double", "3", "200"): 2, ("", "", "404"): 3}


@pytest.mark.slow
def test_stages_and_rows_are_measured(third: Client) -> None:
    third.post("/v1/models/double:predict", {"instances": [[1, 2, 3]] * 4})
    samples = _samples(third)
    for stage in ("input", "queue", "compute", "output"):
        assert samples["adaptact_inference_duration_seconds_count", "double", "3", stage, ""] == 1
    assert samples["adaptact_batch_size_sum", "double", "3", "", ""] == 4
    assert samples["adaptact_model_ready", "double", "3", "", ""] == 1


def test_those_whom_the_gate_turns_away_are_counted_by_why(tmp_path: Path, metrics: Metrics) -> None:
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE))
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("press", "0123456789abcdef0123456789abcdef", frozenset({"infer"})))
    engine = open_engine(options(tmp_path / "models"), metrics)
    client = Client(create_app(engine, Settings(models=tmp_path / "models", keys=keys)))
    own = {"authorization": "Bearer 0123456789abcdef0123456789abcdef"}
    assert client.post("/v1/models/double:predict", {"instances": [[1, 2, 3]]}, own).status_code == 200
    assert client.post("/v1/models/double:predict").status_code == 401
    assert client.request("GET", "/metrics", headers=own).status_code == 403
    engine.close()
    counts = {
        reason: metrics.registry.get_sample_value("adaptact_requests_rejected_total", {"reason": reason})
        for reason in ("key", "role", "queue_full")
    }
    assert counts == {"key": 1, "role": 1, "queue_full": 0}


def _of(client: Client, path: str) -> dict[str, Any]:
    reply: list[dict[str, Any]] = client.get(path).json()["model_stats"]
    assert len(reply) == 1
    return reply[0]


def test_statistics_count_requests_rows_and_runs(fresh: Client) -> None:
    for _ in range(3):
        assert fresh.post("/v2/models/double/versions/1/infer", TWO_ROWS).status_code == 200
    assert fresh.post("/v2/models/double/versions/1/infer", {"inputs": []}).status_code == 400
    reply = _of(fresh, "/v2/models/double/versions/1/stats")
    assert (reply["name"], reply["version"]) == ("double", "1")
    assert (reply["inference_count"], reply["execution_count"]) == (6, 3)
    assert reply["last_inference"] > 1_600_000_000_000
    stats = reply["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"], stats["compute_infer"]["count"]) == (3, 1, 3)
    assert stats["success"]["ns"] >= stats["compute_infer"]["ns"] > 0
    assert stats["cache_hit"] == stats["cache_miss"] == {"count": 0, "ns": 0}
    assert [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in reply["batch_stats"]] == [
        (2, 3)
    ]


@pytest.mark.parametrize(
    ("path", "versions"),
    [
        ("/v2/models/stats", ["1", "2"]),
        ("/v2/models/double/stats", ["1", "2"]),
        ("/v2/models/double/versions/2/stats", ["2"]),
    ],
)
def test_statistics_are_of_all_of_a_model_or_of_a_version(
    fresh: Client, path: str, versions: list[str]
) -> None:
    assert [model_stat["version"] for model_stat in fresh.get(path).json()["model_stats"]] == versions


@pytest.mark.parametrize("path", ["/v2/models/nope/stats", "/v2/models/double/versions/9/stats"])
def test_what_is_not_there_has_no_statistics(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"].startswith("Request for unknown model")
