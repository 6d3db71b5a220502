"""What is answered is what OpenAPI describes: every operation is asked, well and badly."""

from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest

from tests.serve.in_process import Client

X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
ALIAS = "/adaptact/v1/models/{model}/aliases/{alias}"
# By operation: what asks it well. An alias is set before it is read and removed.
GOOD: dict[tuple[str, str], object] = {
    ("post", "/v2/models/{model}/infer"): {"inputs": [X], "id": "1", "outputs": [{"name": "y"}]},
    ("post", "/v2/models/{model}/versions/{version}/infer"): {
        "inputs": [X],
        "outputs": [{"name": "y", "parameters": {"classification": 2, "binary_data": False}}],
        "parameters": {"timeout": 1_000_000, "mine": "x"},
    },
    ("post", "/v1/models/{model}:predict"): {"instances": [[1, 2, 3]]},
    ("post", "/v1/models/{model}/versions/{version}:predict"): {"instances": [[1, 2, 3]]},
    ("post", "/v2/repository/index"): {"ready": True},
    ("post", "/v2/repository/models/{model}/load"): {"parameters": {"config": '{"batch_rows": 4}'}},
    ("post", "/v2/repository/models/{model}/unload"): {"parameters": {"unload_dependents": True}},
    ("put", ALIAS): {"version": "1"},
    ("post", "/v2/logging"): {"log_info": True, "log_file": ""},
    ("post", "/v2/trace/setting"): {"trace_level": ["OFF"], "trace_rate": None},
    ("post", "/v2/models/{model}/trace/setting"): {},
}
BAD: dict[tuple[str, str], object] = {
    ("post", "/v2/models/{model}/infer"): {"inputs": [X | {"shape": [-1]}]},
    ("post", "/v1/models/{model}:predict"): {"instances": []},
    ("post", "/v2/repository/index"): {"ready": 1},
    ("post", "/v2/repository/models/{model}/load"): {"parameters": {"config": {}}},
    ("post", "/v2/repository/models/{model}/unload"): {"parameters": {"unload_dependents": 1}},
    ("put", ALIAS): {"version": 1},
    ("post", "/v2/logging"): {"log_info": "yes"},
    ("post", "/v2/trace/setting"): {"trace_level": ["TIMESTAMPS"]},
}
SCHEMA = "https://json-schema.org/draft/2020-12/schema"


@pytest.fixture(scope="module")
def openapi(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def _operations(openapi: dict[str, Any]) -> list[tuple[str, str]]:
    """Every operation, those that take something away last, and those that set something first."""
    operations = [(method, path) for path, methods in openapi["paths"].items() for method in methods]
    order = {"put": 0, "delete": 2}
    return sorted(
        operations,
        key=lambda operation: 3 if operation[1].endswith("/unload") else order.get(operation[0], 1),
    )


def _written(body: object) -> bytes:
    return b"" if body is None else orjson.dumps(body)


def _path(path: str, model: str = "double") -> str:
    path = f"{path}?most=1" if path.endswith("/live") and path.startswith("/adaptact") else path
    return path.replace("{model}", model).replace("{version}", "1").replace("{alias}", "stable")


def _is_valid(openapi: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    # What its references lead to stands in the same document.
    whole = {"$schema": SCHEMA, "allOf": [schema], "components": openapi["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def _check(openapi: dict[str, Any], operation: tuple[str, str], response: Any) -> None:
    method, path = operation
    described = openapi["paths"][path][method]["responses"]
    status = str(response.status_code)
    assert status in described, (operation, response.text)
    kind = response.headers["content-type"].split(";")[0]
    assert kind in described[status]["content"], operation
    if kind == "application/json":
        _is_valid(openapi, described[status]["content"][kind]["schema"], response.json())


def test_the_document_is_of_openapi_3_1(openapi: dict[str, Any]) -> None:
    assert openapi["openapi"].startswith("3.1")
    names = [openapi["paths"][path][method]["operationId"] for method, path in _operations(openapi)]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_every_operation_answers_as_it_is_described(openapi: dict[str, Any], fresh: Client) -> None:
    for operation in _operations(openapi):
        method, path = operation
        body = GOOD.get(operation)
        response = fresh.request(method.upper(), _path(path), _written(body), {"Host": "localhost"})
        # Only the files that `adaptact-export` makes have a manifest, and there is no audit log to read.
        expected = 404 if path.endswith(("/manifest", "/audit")) else 200
        assert response.status_code == expected, (operation, response.text)
        _check(openapi, operation, response)
        if body is not None:
            _is_valid(openapi, _asked(openapi, operation), body)


def test_every_refusal_is_as_it_is_described(openapi: dict[str, Any], fresh: Client) -> None:
    for operation, bad in BAD.items():
        method, path = operation
        response = fresh.request(method.upper(), _path(path), _written(bad))
        assert response.status_code in (400, 501), (operation, response.text)
        _check(openapi, operation, response)
        with pytest.raises(jsonschema.ValidationError):
            _is_valid(openapi, _asked(openapi, operation), bad)
    for operation in _operations(openapi):
        method, path = operation
        if "{model}" in path:
            body = _written(GOOD.get(operation))
            response = fresh.request(method.upper(), _path(path, "nope"), body)
            assert response.status_code == 404, (operation, response.text)
            _check(openapi, operation, response)


def test_a_binary_answer_is_described(openapi: dict[str, Any], client: Client) -> None:
    raw = np.ones((1, 3), np.float32).tobytes()
    operation = ("post", "/v2/models/{model}/infer")
    response = client.post(_path(operation[1]), raw, {"Inference-Header-Content-Length": "0"})
    _check(openapi, operation, response)
    described = openapi["paths"][operation[1]]["post"]["responses"]["200"]["headers"]
    assert {name.lower() for name in described} <= set(response.headers)


def _asked(openapi: dict[str, Any], operation: tuple[str, str]) -> dict[str, Any]:
    schema: dict[str, Any] = openapi["paths"][operation[1]][operation[0]]["requestBody"]["content"][
        "application/json"
    ]["schema"]
    return schema
