"""The routes of shared memory: off by default, for administrators, and never on GPUs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Metrics, open_engine
from serve.rest.access import right_for
from serve.rest.app import create_app
from serve.settings import Settings
from serve.shared import regions as regions_module
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.in_process import Client

SYSTEM = "/v2/systemsharedmemory"
ROW = np.arange(3, dtype=np.float32)
VERBS = [("status", "GET"), ("register", "POST"), ("unregister", "POST")]


@pytest.mark.parametrize("region", ["", "/region/a"])
@pytest.mark.parametrize(("verb", "method"), VERBS)
def test_memory_of_gpus_is_not_supported_and_says_so(
    client: Client, region: str, verb: str, method: str
) -> None:
    response = client.request(method, f"/v2/cudasharedmemory{region}/{verb}", b"{}")
    assert response.status_code == 501
    assert "CUDA shared memory is not supported" in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/status", "GET"),
        ("/unregister", "POST"),
        *((f"/region/a/{verb}", method) for verb, method in VERBS),
    ],
)
def test_shared_memory_is_off_by_default_and_says_so(client: Client, path: str, method: str) -> None:
    response = client.request(method, SYSTEM + path, b"{}")
    assert response.status_code == 501
    assert "start the server with `--shared-memory`" in response.json()["error"]
    assert "system_shared_memory" not in client.get("/v2").json()["extensions"]
    assert SYSTEM + "/status" not in client.get("/openapi.json").json()["paths"]


def test_registering_is_administration() -> None:
    assert right_for("GET", f"{SYSTEM}/status") == "infer"
    assert right_for("POST", f"{SYSTEM}/region/a/register") == "admin"
    assert right_for("POST", f"{SYSTEM}/unregister") == "admin"


@pytest.fixture
def sharing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A server that takes objects of the names `t_...`."""
    folder = tmp_path / "objects"
    folder.mkdir()
    (folder / "t_in").write_bytes(ROW.tobytes())
    (folder / "t_out").write_bytes(bytes(20))
    monkeypatch.setattr(regions_module, "FOLDER", str(folder))
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE))
    engine = open_engine(options(tmp_path / "models"), Metrics(CollectorRegistry()))
    yield Client(create_app(engine, Settings(models=tmp_path / "models", shared_memory="t_")))
    engine.close()


def test_a_tensor_goes_both_ways_through_shared_memory(sharing: Client, tmp_path: Path) -> None:
    for name, size in (("in", 12), ("out", 20)):
        body = {"key": f"t_{name}", "byte_size": size}
        assert sharing.post(f"{SYSTEM}/region/{name}/register", body).json() == {}
    known = sharing.get(f"{SYSTEM}/status").json()
    assert known[0] == {"name": "in", "key": "t_in", "offset": 0, "byte_size": 12}
    assert sharing.get(f"{SYSTEM}/region/out/status").json() == known[1:]
    place = {"shared_memory_region": "out", "shared_memory_byte_size": 16, "shared_memory_offset": 4}
    asked = {
        "inputs": [
            {
                "name": "x",
                "datatype": "FP32",
                "shape": [1, 3],
                "parameters": {"shared_memory_region": "in", "shared_memory_byte_size": 12},
            }
        ],
        "outputs": [{"name": "y", "parameters": place}],
    }
    answer = sharing.post("/v2/models/double/infer", asked).json()
    assert answer["outputs"] == [
        {
            "name": "y",
            "datatype": "FP32",
            "shape": [1, 3],
            "parameters": {**place, "shared_memory_byte_size": 12},
        }
    ]
    assert (tmp_path / "objects" / "t_out").read_bytes() == bytes(4) + (2 * ROW).tobytes() + bytes(4)
    assert sharing.post(f"{SYSTEM}/region/in/unregister").json() == {}
    refused = sharing.post("/v2/models/double/infer", asked)
    assert (refused.status_code, "no shared memory region `in`" in refused.text) == (400, True)
    assert sharing.post(f"{SYSTEM}/unregister").json() == {}
    assert sharing.get(f"{SYSTEM}/status").json() == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "`key` is `None`"),
        ({"key": 1}, "`key` is `1`"),
        ({"key": "t_in"}, "`byte_size` is `None`"),
        ({"key": "t_in", "byte_size": 12, "offset": -1}, "`offset` is `-1`"),
        ({"key": "t_in", "byte_size": "12"}, "`byte_size` is `12`"),
        ({"key": "../t_in", "byte_size": 12}, "no shared memory object's"),
    ],
)
def test_a_region_that_cannot_be_is_refused(sharing: Client, body: object, message: str) -> None:
    response = sharing.post(f"{SYSTEM}/region/a/register", body)
    assert response.status_code == 400
    assert message in response.json()["error"]
    unknown = sharing.get(f"{SYSTEM}/region/a/status")
    assert (unknown.status_code, "no shared memory region `a`" in unknown.text) == (400, True)


def test_the_server_says_that_it_shares(sharing: Client) -> None:
    assert "system_shared_memory" in sharing.get("/v2").json()["extensions"]
    assert SYSTEM + "/region/{region}/register" in sharing.get("/openapi.json").json()["paths"]
