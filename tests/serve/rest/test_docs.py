import re
from typing import Any

import jsonschema
import pytest

from tests.serve.in_process import Client


@pytest.fixture(scope="module")
def openapi(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_the_page_and_all_it_is_made_of_come_from_this_server(client: Client) -> None:
    page = client.get("/docs").text
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(linked) == 3
    for link in linked:
        assert link.startswith("/docs/")
        assert client.get(link).status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", page).replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v2/models/{model}/infer", ["model", "Inference-Header-Content-Length"]),
        (
            "/v2/models/{model}/versions/{version}/infer",
            ["model", "version", "Inference-Header-Content-Length"],
        ),
        ("/v1/models/{model}:predict", ["model"]),
        ("/v1/models/{model}/versions/{version}:predict", ["model", "version"]),
    ],
)
def test_bodies_that_the_routes_read_themselves_are_described(
    openapi: dict[str, Any], path: str, parameters: list[str]
) -> None:
    operation = openapi["paths"][path]["post"]
    assert [each["name"] for each in operation["parameters"]] == parameters
    assert "application/json" in operation["requestBody"]["content"]
    assert "application/json" in operation["responses"]["200"]["content"]
    assert {"400", "404", "413", "503"} <= set(operation["responses"])


def _schemas(openapi: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    operation = openapi["paths"]["/v2/models/{model}/infer"]["post"]
    asked, answered = operation["requestBody"]["content"], operation["responses"]["200"]["content"]
    assert "application/octet-stream" in asked
    assert "application/octet-stream" in answered
    return asked["application/json"]["schema"], answered["application/json"]["schema"]


def test_what_is_sent_and_answered_is_what_is_described(client: Client, openapi: dict[str, Any]) -> None:
    asked, answered = _schemas(openapi)
    message = {
        "id": "1",
        "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}],
        "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
    }
    jsonschema.validate(message, asked)
    jsonschema.validate(client.post("/v2/models/double/infer", message).json(), answered)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "x", "shape": [1], "datatype": "FP32"},
        {"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "parameters": {"binary_data_size": 4}},
        {"name": "x", "shape": [-1], "datatype": "FP32", "data": [1]},
        {"name": "x", "shape": [1], "datatype": "FLOAT", "data": [1]},
    ],
)
def test_what_is_refused_is_described_as_wrong(
    client: Client, openapi: dict[str, Any], entry: dict[str, Any]
) -> None:
    asked, _ = _schemas(openapi)
    assert not jsonschema.Draft202012Validator(asked).is_valid({"inputs": [entry]})
    assert client.post("/v2/models/log/infer", {"inputs": [entry]}).status_code == 400
