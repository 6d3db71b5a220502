from importlib.metadata import version

import pytest

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
    }


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
    told = client.get(path).json()
    common = {"data_type": "TYPE_INT32", "dims": [4]}
    assert told["input"] == [{"name": f"INPUT{n}", **common, "format": "FORMAT_NONE"} for n in (0, 1)]
    assert told["output"][0] == {"name": "OUTPUT0", **common}
    assert [each["name"] for each in told["output"]] == ["OUTPUT0", "OUTPUT1"]
    assert (told["max_batch_size"], told["version_policy"]) == (32, {"all": {}})
