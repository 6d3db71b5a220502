from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from serve.engine.signature import Array
from tests.serve import models
from tests.serve.in_process import Client

JSON_BYTES = "Inference-Header-Content-Length"
ONES = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 1, 1]}


def _binary(inputs: dict[str, Array], datatype: str, **message: object) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a request with binary tensors."""
    entries = [
        {
            "name": name,
            "shape": array.shape,
            "datatype": datatype,
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in inputs.items()
    ]
    text = orjson.dumps({"inputs": entries} | message)
    body = text + b"".join(array.tobytes() for array in inputs.values())
    return body, {JSON_BYTES: str(len(text))}


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "application/octet-stream"}, {"Content-Type": "text/html"}]
)
def test_json_is_answered_whatever_its_content_type_says(client: Client, headers: dict[str, str]) -> None:
    response = client.post("/v2/models/double/infer", {"inputs": [ONES], "id": "seven"}, headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "model_name": "double",
        "model_version": "10",
        "id": "seven",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [2.0, 2.0, 2.0]}],
    }


def test_columns_of_numbers_and_texts_are_answered(changing: Path, fresh: Client) -> None:
    models.put(changing, "table", models.table_model())
    assert fresh.post("/v2/repository/models/table/load").status_code == 200
    inputs = [
        {"name": "amount", "shape": [2, 1], "datatype": "FP32", "data": [0.0, 0.0]},
        {"name": "colour", "shape": [2, 1], "datatype": "BYTES", "data": ["red", "green"]},
    ]
    outputs = fresh.post("/v2/models/table/infer", {"inputs": inputs}).json()["outputs"]
    assert outputs == [
        {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["high", "low"]},
        {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]},
    ]


def test_a_version_in_the_path_answers(client: Client) -> None:
    response = client.post("/v2/models/double/versions/2/infer", {"inputs": [ONES]})
    assert response.json()["model_version"] == "2"


def test_a_version_in_the_query_is_no_version(client: Client) -> None:
    response = client.post("/v2/models/double/infer?version=1&test=2", {"inputs": [ONES]})
    assert response.json()["model_version"] == "10"


def test_binary_tensors_are_answered_in_binary(client: Client) -> None:
    body, headers = _binary(
        {"x": np.ones((2, 3), np.float32)}, "FP32", parameters={"binary_data_output": True}
    )
    response = client.post("/v2/models/double/infer", body, headers)
    size = int(response.headers[JSON_BYTES])
    assert response.headers["content-type"] == "application/octet-stream"
    assert orjson.loads(response.content[:size])["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}
    ]
    assert np.frombuffer(response.content[size:], np.float32).tolist() == [2.0] * 6


def test_a_raw_body_is_answered_in_binary(client: Client) -> None:
    response = client.post("/v2/models/double/infer", np.ones(3, np.float32).tobytes(), {JSON_BYTES: "0"})
    assert np.frombuffer(response.content[-12:], np.float32).tolist() == [2.0] * 3


def test_nan_in_json_is_taken_and_not_given(client: Client) -> None:
    body = b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[NaN,1]}]%s}'
    refused = client.post("/v2/models/log/infer", body % b"")
    assert refused.status_code == 400
    assert "ask for binary output" in refused.json()["error"]
    taken = client.post("/v2/models/log/infer", body % b',"parameters":{"binary_data_output":true}')
    assert np.isnan(np.frombuffer(taken.content[-8:], np.float32)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v2/models/nope/infer", 404, "Request for unknown model: `nope` is not found"),
        (
            "/v2/models/double/versions/9/infer",
            404,
            "Request for unknown model: `double` version `9` is not found",
        ),
        ("/v2/models/add_sub/infer", 400, "input `INPUT0` is missing; expected: `INPUT0`, `INPUT1`"),
        (
            "/v2/models/identity-FP64/infer",
            400,
            "input `x` has the wrong datatype: expected `FP64`, got `FP32`",
        ),
        ("/v2/models/log/infer", 400, "input `x` has the wrong shape: expected `[N]`, got `[1, 3]`"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(client: Client, path: str, status: int, message: str) -> None:
    response = client.post(path, {"inputs": [ONES]})
    assert response.status_code == status
    assert response.json()["error"].startswith(message)


HOSTILE: Sequence[Any] = [
    (b"", {}),
    (b"{", {}),
    (b"[" * 250_000, {}),
    (b'{"inputs":' + b"[" * 250_000, {}),
    (b'{"inputs":[' + b'{"a":' * 100_000, {}),
    (b"null", {}),
    (b"\xff\xfe", {}),
    (b'{"inputs":[{"name":"x","shape":[NaN],"datatype":"FP32","data":[]}]}', {}),
    (
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":' + b"[" * 900 + b"]" * 900 + b"}]}",
        {},
    ),
    (orjson.dumps({"inputs": [ONES | {"shape": [2**4, 2**60 + 2]}]}), {}),
    (orjson.dumps({"inputs": [ONES | {"shape": [-1, 3]}]}), {}),
    (orjson.dumps({"inputs": [ONES | {"shape": [0, 2**62], "data": []}]}), {}),
    (
        b'{"inputs":[{"name":"x","shape":['
        + b",".join([b"9" * 4000] * 32)
        + b'],"datatype":"FP32","data":[NaN]}]}',
        {},
    ),
    (b'{"id":"\\ud800","inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[NaN,1,1]}]}', {}),
    (b'{"id":"\xed\xa0\x80","inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[NaN,1,1]}]}', {}),
    (orjson.dumps({"inputs": [ONES, ONES]}), {}),
    (orjson.dumps({"inputs": [{}] * 100_000}), {}),
    (b"{" + b",".join(b'"%d":0' % name for name in range(50_000)) + b',"inputs":[]}', {}),
    (orjson.dumps({"inputs": [ONES], "outputs": [{"name": "y"}, {"name": "y"}]}), {}),
    (orjson.dumps({"inputs": [ONES], "outputs": [{"name": "nope"}]}), {}),
    (b"{}", {JSON_BYTES: "99999999999"}),
    (b"{}", {JSON_BYTES: "9" * 5000}),
    (b"{}", {JSON_BYTES: "-1"}),
    (b"{}", {JSON_BYTES: "1e1"}),
    (b"{}", {JSON_BYTES: "1"}),
    (b"1234567", {JSON_BYTES: "0"}),
]


@pytest.mark.parametrize("path", ["/v2/models/double/infer", "/v2/models/double/versions/2/infer"])
@pytest.mark.parametrize(("body", "headers"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_request_gets_a_400_and_the_next_an_answer(
    client: Client, path: str, body: bytes, headers: dict[str, str]
) -> None:
    response = client.post(path, body, headers)
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert len(response.json()["error"]) < 500
    assert "Traceback" not in response.text
    assert client.post(path, {"inputs": [ONES]}).status_code == 200


def test_the_highest_scores_are_told_with_their_classes(client: Client) -> None:
    outputs = [{"name": "y", "parameters": {"classification": 1}}]
    scores = ONES | {"data": [1, 4, 2]}
    response = client.post("/v2/models/classifier/infer", {"inputs": [scores], "outputs": outputs})
    assert response.json()["outputs"] == [
        {"name": "y", "datatype": "BYTES", "shape": [1, 1], "data": ["8.0:1:one"]}
    ]


@pytest.mark.parametrize(
    ("parameters", "status", "message"),
    [
        ({"timeout": "soon"}, 400, "`timeout` is `soon`, expected a whole number"),
        ({"triton_what": 1}, 400, "`triton_what` is not known"),
        ({"sequence_id": 1}, 501, "`sequence_id` is not supported"),
        ({"mine": None}, 400, "parameter `mine` is"),
    ],
)
def test_parameters_that_cannot_be_honoured_are_refused(
    client: Client, parameters: dict[str, object], status: int, message: str
) -> None:
    response = client.post("/v2/models/double/infer", {"inputs": [ONES], "parameters": parameters})
    assert response.status_code == status
    assert message in response.json()["error"]
