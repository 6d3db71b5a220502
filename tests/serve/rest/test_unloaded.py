import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from serve.engine import Engine, Metrics, open_engine
from serve.engine.errors import ModelUnloadedError
from serve.engine.memory import budget
from serve.engine.memory.amounts import LEAST
from serve.engine.memory.options import MemoryOptions
from serve.rest.app import create_app
from serve.settings import Settings
from serve.shared.engine import SharedEngine
from serve.shared.worker_group import WorkerGroup
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.in_process import Client
from tests.serve.rest.trials import Served, serve, values
from tests.serve.rollout.variants import put_variants
from tests.waiting import until

ROW: dict[str, Any] = {"instances": [[1, 2, 3]]}
TENSOR = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}


pytestmark = pytest.mark.usefixtures("of_equal_size")


@pytest.fixture
def client(of_equal_size: None, tmp_path: Path, metrics: Metrics) -> Iterator[Client]:
    """A server of two models that has memory for one: `a` is loaded."""
    for name in ("a", "b"):
        models.put(tmp_path, name, models.model(models.DOUBLE))
    memory, workers = MemoryOptions(int(1.5 * LEAST)), WorkerGroup()
    engine = open_engine(options(tmp_path, memory=memory), metrics, partial(SharedEngine, workers=workers))
    yield Client(create_app(engine, Settings(models=tmp_path), workers))
    engine.close()


def test_a_request_loads_its_model(client: Client) -> None:
    assert client.post("/v1/models/b:predict", ROW).json()["predictions"] == [[2, 4, 6]]
    assert client.post("/v2/models/a/infer", TENSOR).json()["outputs"][0]["data"] == [2, 4, 6]
    assert client.get("/v2/models/b/ready").status_code == 503


def test_while_a_model_loads_its_requests_are_told_when_to_try_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "WAIT_SECONDS", 0.0)
    for path, body in (("/v1/models/b:predict", ROW), ("/v2/models/b/infer", TENSOR)):
        response = client.post(path, body)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.json()["error"] == "model `b` is being loaded; try again"


def test_an_unloaded_model_is_not_ready_and_the_server_is(client: Client) -> None:
    assert client.get("/v2/health/ready").status_code == 200
    for path in ("/v2/models/b/ready", "/v2/models/b", "/v2/models/b/config"):
        response = client.get(path)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert "unloaded to make room; a request loads it" in response.json()["error"]
    states = {entry["name"]: entry for entry in client.post("/v2/repository/index").json()}
    assert states["a"]["state"] == "READY"
    assert states["b"] == {
        "name": "b",
        "version": "1",
        "state": "UNAVAILABLE",
        "reason": "unloaded to make room; a request loads it",
    }


def test_an_operator_loads_and_unloads_within_the_budget(client: Client) -> None:
    assert client.post("/v2/repository/models/b/load").status_code == 200
    assert client.get("/v2/models/a/ready").status_code == 503
    assert client.post("/v2/repository/models/b/unload").status_code == 200
    assert client.post("/v1/models/b:predict", ROW).status_code == 503
    assert client.post("/v1/models/a:predict", ROW).status_code == 200


EXPERIMENT = """experiments:
  - name: exp
    model: digits
    control: {name: control, version: 1}
    candidates: [{name: candidate, model: twin, version: 1}]
    stages: {shadow_share: 0, steps: [50]}
    metrics: [{name: right, kind: binary, is_primary: true}]
    allow_list: {anna: candidate, bert: control}
"""


def test_the_models_of_an_experiment_are_loaded_for_it_and_stay(tmp_path: Path, metrics: Metrics) -> None:
    folder = tmp_path / "models"
    put_variants(folder)
    # Room for the three versions of `digits`, and one model more.
    memory = MemoryOptions(int(4.5 * LEAST))
    engine = open_engine(options(folder, memory=memory), metrics)
    engine.point_alias("digits", "stable", "1")
    asyncio.run(engine.load("roots"))
    with serve(engine, tmp_path, EXPERIMENT) as served:
        engine.memory.pins = served.rollout.trials.list_models
        until(lambda: is_answered(engine, served))
        assert values(served.ask(x_adaptact_unit="anna")) == [3, 6, 9]
        with pytest.raises(ModelUnloadedError, match="in use or pinned"):
            asyncio.run(engine.load("roots"))
        assert engine.names() == ["digits", "twin"]
    engine.close()


def is_answered(engine: Engine, served: Served) -> bool:
    """Whether the candidate answers; what its requests wanted before is loaded now."""

    async def load() -> None:
        engine.memory.load_wanted()
        await asyncio.gather(*(task for task, _ in engine.memory._loading.values()))

    asyncio.run(load())
    return served.ask(x_adaptact_unit="anna").status_code == 200
