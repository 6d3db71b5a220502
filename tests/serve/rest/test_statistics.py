from typing import Any

import pytest

from tests.serve.in_process import Client

TWO_ROWS = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1] * 6}]}


def _of(client: Client, path: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = client.get(path).json()["model_stats"]
    assert len(found) == 1
    return found[0]


def test_statistics_count_requests_rows_and_runs(fresh: Client) -> None:
    for _ in range(3):
        assert fresh.post("/v2/models/double/versions/1/infer", TWO_ROWS).status_code == 200
    assert fresh.post("/v2/models/double/versions/1/infer", {"inputs": []}).status_code == 400
    told = _of(fresh, "/v2/models/double/versions/1/stats")
    assert (told["name"], told["version"]) == ("double", "1")
    assert (told["inference_count"], told["execution_count"]) == (6, 3)
    assert told["last_inference"] > 1_600_000_000_000
    stats = told["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"], stats["compute_infer"]["count"]) == (3, 1, 3)
    assert stats["success"]["ns"] >= stats["compute_infer"]["ns"] > 0
    assert stats["cache_hit"] == stats["cache_miss"] == {"count": 0, "ns": 0}
    assert [(each["batch_size"], each["compute_infer"]["count"]) for each in told["batch_stats"]] == [(2, 3)]


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
    assert [each["version"] for each in fresh.get(path).json()["model_stats"]] == versions


@pytest.mark.parametrize("path", ["/v2/models/nope/stats", "/v2/models/double/versions/9/stats"])
def test_what_is_not_there_has_no_statistics(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"].startswith("Request for unknown model")
