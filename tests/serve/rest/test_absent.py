import pytest

from tests.serve.in_process import Client

BOTH = pytest.mark.parametrize("path", ["/v2/trace/setting", "/v2/models/double/trace/setting"])
OFF = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
}


@BOTH
@pytest.mark.parametrize("body", [{}, {"trace_level": ["OFF"]}, {"trace_rate": None, "trace_count": "-1"}])
def test_traces_to_a_file_are_off_and_may_stay_so(client: Client, path: str, body: object) -> None:
    assert client.get(path).json() == OFF
    assert client.post(path, body).json() == OFF


@BOTH
@pytest.mark.parametrize("body", [{"trace_level": ["TIMESTAMPS"]}, {"trace_rate": "1"}])
def test_traces_that_cannot_be_are_refused(client: Client, path: str, body: object) -> None:
    response = client.post(path, body)
    assert response.status_code == 501
    assert "traces to a file are not supported" in response.json()["error"]


@BOTH
def test_a_setting_that_there_is_none_of_is_refused(client: Client, path: str) -> None:
    response = client.post(path, {"other": 1})
    assert response.status_code == 400
    assert "`other` is no setting of traces; known: `trace_level`" in response.json()["error"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_model_has_no_trace(client: Client, method: str) -> None:
    assert client.request(method, "/v2/models/nope/trace/setting").status_code == 404


@pytest.mark.parametrize("kind", ["system", "cuda"])
@pytest.mark.parametrize("region", ["", "/region/a"])
@pytest.mark.parametrize(
    ("verb", "method"), [("status", "GET"), ("register", "POST"), ("unregister", "POST")]
)
def test_shared_memory_is_not_supported_and_says_so(
    client: Client, kind: str, region: str, verb: str, method: str
) -> None:
    response = client.request(method, f"/v2/{kind}sharedmemory{region}/{verb}", b"{}")
    assert response.status_code == 501
    assert "send tensors in binary" in response.json()["error"]


def test_what_is_not_supported_is_no_extension(client: Client) -> None:
    extensions = client.get("/v2").json()["extensions"]
    assert not {"trace", "system_shared_memory", "cuda_shared_memory", "sequence"} & set(extensions)
