from pathlib import Path

import orjson
import pytest

from tests.serve import models
from tests.serve.in_process import Client

INDEX = "/v2/repository/index"
LOAD = "/v2/repository/models/double/load"
UNLOAD = "/v2/repository/models/double/unload"
ONES = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 1, 1]}]}


def _index(client: Client, body: bytes | dict[str, object] = b"") -> list[tuple[str, str, str]]:
    response = client.post(INDEX, body)
    assert response.status_code == 200
    return [(each["version"], each["state"], each["reason"]) for each in response.json()]


@pytest.mark.parametrize("body", [b"", b"{}", {"ready": False}, {"ready": True}])
def test_the_index_takes_an_empty_body_too(fresh: Client, body: bytes | dict[str, object]) -> None:
    assert _index(fresh, body) == [("1", "READY", ""), ("2", "READY", "")]


def test_what_is_unloaded_is_in_the_index_unless_only_the_ready_are_asked_for(fresh: Client) -> None:
    assert fresh.post(UNLOAD).json() == {}
    assert _index(fresh) == [("1", "UNAVAILABLE", "unloaded"), ("2", "UNAVAILABLE", "unloaded")]
    assert _index(fresh, {"ready": True}) == []
    assert fresh.post("/v2/models/double/infer", ONES).status_code == 503
    assert fresh.post(LOAD).json() == {}
    assert fresh.post("/v2/models/double/infer", ONES).status_code == 200


def test_a_version_that_was_added_is_loaded(fresh: Client, changing: Path) -> None:
    models.put(changing, "double", models.model(models.DOUBLE), "3")
    assert fresh.post(LOAD, {}).status_code == 200
    assert fresh.post("/v2/models/double/infer", ONES).json()["model_version"] == "3"


def test_a_file_that_will_not_be_served_is_named_and_the_old_one_serves_on(
    fresh: Client, changing: Path
) -> None:
    models.put(changing, "double", b"rubbish", "2")
    response = fresh.post(LOAD)
    assert response.status_code == 422
    assert "ONNX Runtime cannot load it" in response.json()["error"]
    assert fresh.post("/v2/models/double/infer", ONES).json()["model_version"] == "2"


def test_a_model_is_loaded_with_a_configuration_of_the_request(fresh: Client) -> None:
    assert fresh.get("/v2/models/double/config").json()["max_batch_size"] == 32
    config = orjson.dumps({"max_batch_size": 2}).decode()
    assert fresh.post(LOAD, {"parameters": {"config": config}}).status_code == 200
    assert fresh.get("/v2/models/double/versions/1/config").json()["max_batch_size"] == 2
    three = {"inputs": [{"name": "x", "shape": [3, 3], "datatype": "FP32", "data": [1] * 9}]}
    refused = fresh.post("/v2/models/double/infer", three)
    assert refused.status_code == 400
    assert "at most 2 rows" in refused.json()["error"]
    fresh.post(LOAD)
    assert fresh.post("/v2/models/double/infer", three).status_code == 200


def test_what_dependents_there_are_is_of_no_matter(fresh: Client) -> None:
    assert fresh.post(UNLOAD, {"parameters": {"unload_dependents": True}}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (INDEX, {"ready": 1}, 400, "`ready` is `1`, expected true or false"),
        (INDEX, [], 400, "the body is not a JSON object"),
        (INDEX, b"{", 400, "the body is not valid JSON"),
        (INDEX, b"[" * 250_000, 400, "the body is not valid JSON"),
        (INDEX, b" " * (2**20 + 1), 413, "the body is larger than the limit"),
        (LOAD, {"parameters": {"config": '{"batch_rows": 0}'}}, 400, "`batch_rows` is `0`"),
        (LOAD, {"parameters": {"config": '{"what": 0}'}}, 400, "`what` cannot be configured"),
        (LOAD, {"parameters": {"config": 3}}, 400, "parameter `config` is not a text"),
        (UNLOAD, {"parameters": {"unload_dependents": 1}}, 400, "`unload_dependents` is not true or false"),
        (UNLOAD, {"parameters": {"x": []}}, 400, "parameter `x` is"),
        (LOAD, {"parameters": 3}, 400, "`parameters` is not an object"),
        (LOAD, {"parameters": {"file:1/model.onnx": "AA"}}, 501, "files are not taken over the network"),
        ("/v2/repository/models/nope/load", {}, 404, "failed to load `nope`: the models folder holds"),
        ("/v2/repository/models/nope/unload", {}, 404, "Request for unknown model: `nope`"),
    ],
)
def test_anything_else_is_refused(client: Client, path: str, body: object, status: int, message: str) -> None:
    response = client.post(path, body)
    assert response.status_code == status
    assert message in response.json()["error"]
