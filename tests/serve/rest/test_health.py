from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.engine import Metrics, open_engine
from serve.rest.app import create_app
from serve.settings import Settings
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.in_process import Client


@pytest.fixture
def half_broken(tmp_path: Path, metrics: Metrics) -> Iterator[Client]:
    models.put(tmp_path, "good", models.model(models.DOUBLE))
    models.put(tmp_path, "good", b"rubbish", "2")
    models.put(tmp_path, "bad", b"rubbish")
    engine = open_engine(options(tmp_path), metrics)
    yield Client(create_app(engine, Settings(models=tmp_path)))
    engine.close()


def test_a_server_whose_models_all_answer_is_ready(client: Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/double/ready").json() == {"name": "double", "ready": True}
    assert client.get("/v2/models/double/versions/1/ready").json() == {"name": "double", "ready": True}


def test_a_broken_model_is_named_while_the_server_is_not_ready(half_broken: Client) -> None:
    assert half_broken.get("/v2/health/live").status_code == 200
    response = half_broken.get("/v2/health/ready")
    assert response.status_code == 503
    assert response.json() == {
        "error": "not ready: `bad` version `1`: ONNX Runtime cannot load it; "
        "`good` version `2`: ONNX Runtime cannot load it"
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("good", 200),
        ("good/versions/1", 200),
        ("good/versions/2", 503),
        ("bad", 503),
        ("bad/versions/1", 503),
    ],
)
def test_each_model_and_version_is_ready_by_itself(half_broken: Client, path: str, status: int) -> None:
    assert half_broken.get(f"/v2/models/{path}/ready").status_code == status


def test_a_broken_model_answers_503_and_the_others_serve(half_broken: Client) -> None:
    instances = {"instances": [[1, 2, 3]]}
    assert half_broken.post("/v1/models/bad:predict", instances).status_code == 503
    assert half_broken.post("/v1/models/good:predict", instances).status_code == 200
