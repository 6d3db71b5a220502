import pytest

from tests.serve.in_process import Client

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


def test_aliases_are_listed_and_removed(fresh: Client) -> None:
    assert fresh.get(ALIASES).json() == {"name": "double", "aliases": []}
    _set(fresh, "stable", "2")
    _set(fresh, "candidate", "1")
    candidate, stable = {"alias": "candidate", "version": "1"}, {"alias": "stable", "version": "2"}
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
