import shutil
from importlib.metadata import version
from pathlib import Path

import orjson
import pytest

from tests.serve import models
from tests.serve.in_process import Client


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2?test=1"])
def test_the_server_says_what_it_is_with_and_without_a_slash(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {
        "name": "adaptact",
        "version": version("adaptact"),
        "extensions": [
            "binary_tensor_data",
            "classification",
            "logging",
            "model_configuration",
            "model_repository",
            "model_repository(unload_dependents)",
            "parameters",
            "statistics",
        ],
    }


@pytest.mark.parametrize("path", ["/v2/models/double", "/v2/models/double/versions/1"])
def test_a_model_says_what_it_takes_and_gives(client: Client, path: str) -> None:
    assert client.get(path).json() == {
        "name": "double",
        "versions": ["1", "2", "10"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        "parameters": {"provider": "cpu", "threads": 1},
    }


def test_metadata_tell_how_much_parity_proves(client: Client) -> None:
    """The manifest here has no parity at all."""
    assert client.get("/v2/models/classifier").json()["parity"] == "unknown"


def test_sizes_out_of_bounds_are_refused_and_the_bounds_told(changing: Path, fresh: Client) -> None:
    bounds = {"sizes": [{"name": "N", "low": 2, "high": 4, "multiple": 1}]}
    models.put(changing, "bounded", models.with_manifest(models.model(models.DOUBLE), bounds))
    fresh.post("/v2/repository/models/bounded/load")
    assert fresh.get("/v2/models/bounded").json()["sizes"] == [
        {"input": "x", "axis": 0, "low": 2, "high": 4, "multiple": 1}
    ]
    assert fresh.get("/v2/models/bounded/config").json()["max_batch_size"] == 4
    for rows, status in {1: 400, 2: 200, 4: 200, 5: 400}.items():
        response = fresh.post("/v1/models/bounded:predict", {"instances": [[1, 2, 3]] * rows})
        assert response.status_code == status
    assert "input `x` has the wrong size at axis 0: expected `2<=N<=4`, got `5`" in response.json()["error"]


@pytest.mark.parametrize(
    "path", ["/v2/models/classifier/manifest", "/v2/models/classifier/versions/1/manifest"]
)
def test_a_models_manifest_is_shown_as_it_is(client: Client, path: str) -> None:
    assert client.get(path).json() == {"format": 1, "classes": ["zero", "one", "two"]}


@pytest.mark.parametrize("path", ["/v2/models/double/manifest", "/v2/models/double/versions/1/manifest"])
def test_a_model_without_a_manifest_says_so(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "has no manifest" in response.json()["error"]


@pytest.mark.parametrize("end", ["", "/manifest", "/ready", "/config", "/stats"])
@pytest.mark.parametrize(
    "path", ["/v2/models/nope", "/v2/models/double/versions/9", "/v2/models/..%2fdouble"]
)
def test_an_unknown_model_is_not_found(client: Client, path: str, end: str) -> None:
    response = client.get(path + end)
    assert response.status_code == 404
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize("path", ["/v2/models/add_sub/config", "/v2/models/add_sub/versions/1/config"])
def test_a_model_says_how_it_is_served(client: Client, path: str) -> None:
    reply = client.get(path).json()
    common = {"data_type": "TYPE_INT32", "dims": [4]}
    assert reply["input"] == [{"name": f"INPUT{n}", **common, "format": "FORMAT_NONE"} for n in (0, 1)]
    assert reply["output"][0] == {"name": "OUTPUT0", **common}
    assert [each["name"] for each in reply["output"]] == ["OUTPUT0", "OUTPUT1"]
    assert (reply["max_batch_size"], reply["version_policy"]) == (32, {"all": {}})


ALIASES = "/adaptact/v1/models/double/aliases"
ONES = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 1, 1]}]}


def _set(client: Client, alias: str, version: object) -> None:
    body = b'{"version":"%s"}' % str(version).encode()
    response = client.request("PUT", f"{ALIASES}/{alias}", body)
    assert response.status_code == 200
    assert response.json() == {"alias": alias, "version": version}


def test_an_alias_stands_where_a_version_is_named(fresh: Client) -> None:
    _set(fresh, "candidate", "1")
    for path in ("/v2/models/double/versions/candidate", "/v2/models/double/versions/candidate/ready"):
        assert fresh.get(path).status_code == 200
    assert fresh.post("/v2/models/double/versions/candidate/infer", ONES).json()["model_version"] == "1"
    _set(fresh, "candidate", "2")
    assert fresh.post("/v2/models/double/versions/candidate/infer", ONES).json()["model_version"] == "2"


def test_stable_answers_where_no_version_is_named(fresh: Client) -> None:
    assert fresh.post("/v2/models/double/infer", ONES).json()["model_version"] == "2"
    _set(fresh, "stable", "1")
    assert fresh.post("/v2/models/double/infer", ONES).json()["model_version"] == "1"


def test_stable_is_pointed_elsewhere_once_its_version_is_gone(fresh: Client, changing: Path) -> None:
    _set(fresh, "stable", "1")
    shutil.rmtree(changing / "double" / "1")
    assert fresh.post(LOAD).status_code == 200
    assert fresh.post("/v2/models/double/infer", ONES).status_code == 503
    _set(fresh, "stable", "2")
    assert fresh.post("/v2/models/double/infer", ONES).json()["model_version"] == "2"


@pytest.mark.slow
def test_aliases_are_listed_and_removed(fresh: Client) -> None:
    assert fresh.get(ALIASES).json() == {"name": "double", "aliases": []}
    _set(fresh, "stable", "2")
    _set(fresh, "candidate", "1")
    candidate, stable = {"alias": "candidate", "version": "1"}, {"alias": "stable", "version": "2"}
    assert fresh.get(ALIASES).json() == {"name": "double", "aliases": [candidate, stable]}
    assert fresh.get(f"{ALIASES}/stable").json() == stable
    assert fresh.post(UNLOAD, {}).status_code == 200
    assert fresh.get(ALIASES).json() == {"name": "double", "aliases": [candidate, stable]}
    assert fresh.get(f"{ALIASES}/stable").json() == stable
    assert fresh.request("DELETE", f"{ALIASES}/candidate").json() == candidate
    assert fresh.get(ALIASES).json() == {"name": "double", "aliases": [stable]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", f"{ALIASES}/stable", b"", 404, "model `double` has no alias `stable`; aliases: none"),
        ("DELETE", f"{ALIASES}/stable", b"", 404, "model `double` has no alias `stable`"),
        ("PUT", f"{ALIASES}/stable", b"", 400, "`version` is `None`, expected a version as a text"),
        ("PUT", f"{ALIASES}/stable", b'{"version": 2}', 400, "`version` is `2`, expected a version"),
        ("PUT", f"{ALIASES}/stable", b'{"version": "9"}', 400, "9"),
        ("PUT", f"{ALIASES}/7", b'{"version": "1"}', 400, "alias `7` cannot be"),
        ("GET", "/adaptact/v1/models/nope/aliases", b"", 404, "Request for unknown model: `nope`"),
        ("PUT", "/adaptact/v1/models/nope/aliases/a", b'{"version": "1"}', 404, "unknown model: `nope`"),
        ("DELETE", "/adaptact/v1/models/nope/aliases/a", b"", 404, "Request for unknown model: `nope`"),
    ],
)
def test_what_cannot_be_is_refused(
    client: Client, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    response = client.request(method, path, body)
    assert (response.status_code, message in response.json()["error"]) == (status, True), response.text


INDEX = "/v2/repository/index"
LOAD = "/v2/repository/models/double/load"
UNLOAD = "/v2/repository/models/double/unload"


def _index(client: Client, body: bytes | dict[str, object] = b"") -> list[tuple[str, str, str]]:
    response = client.post(INDEX, body)
    assert response.status_code == 200
    return [(each["version"], each["state"], each["reason"]) for each in response.json()]


@pytest.mark.parametrize("body", [b"", b"{}", {"ready": False}, {"ready": True}])
def test_the_index_takes_an_empty_body_too(fresh: Client, body: bytes | dict[str, object]) -> None:
    assert _index(fresh, body) == [("1", "READY", ""), ("2", "READY", "")]


@pytest.mark.slow
def test_an_unloaded_model_is_in_the_index_unless_ready_is_set(fresh: Client) -> None:
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


def test_a_refused_file_is_named_and_the_old_one_serves(fresh: Client, changing: Path) -> None:
    models.put(changing, "double", b"rubbish", "2")
    response = fresh.post(LOAD)
    assert response.status_code == 422
    assert "ONNX Runtime cannot load it" in response.json()["error"]
    assert fresh.post("/v2/models/double/infer", ONES).json()["model_version"] == "2"


@pytest.mark.slow
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


@pytest.mark.slow
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
