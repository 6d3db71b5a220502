import asyncio
import base64
import io
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest
from PIL import Image

from serve.engine import Engine, Metrics, open_engine
from serve.engine.signature import Array
from serve.protocol.json_text import Value
from serve.rest.app import create_app
from serve.rest.instances import DECODING_REQUESTS
from serve.settings import Settings
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.in_process import Client

FORM = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d sends


@pytest.mark.parametrize("headers", [{}, FORM, {"Content-Type": "application/json"}])
@pytest.mark.parametrize("path", ["/v1/models/double:predict", "/v1/models/double/versions/1:predict"])
def test_instances_are_answered_with_predictions(client: Client, path: str, headers: dict[str, str]) -> None:
    response = client.post(path, {"instances": [[1, 2, 3], [4, 5, 6]]}, headers)
    assert response.status_code == 200
    assert response.json() == {"predictions": [[2, 4, 6], [8, 10, 12]]}


def test_several_inputs_and_outputs_are_objects_by_name(client: Client) -> None:
    instance = {"INPUT0": [1, 2, 3, 4], "INPUT1": [1, 1, 1, 1]}
    response = client.post("/v1/models/add_sub:predict", {"instances": [instance]})
    assert response.json() == {"predictions": [{"OUTPUT0": [2, 3, 4, 5], "OUTPUT1": [0, 1, 2, 3]}]}


@pytest.mark.parametrize("boxed", [False, True])
def test_a_row_of_a_table_is_an_object(changing: Path, fresh: Client, boxed: bool) -> None:
    models.put(changing, "table", models.table_model())
    assert fresh.post("/v2/repository/models/table/load").status_code == 200
    rows = [(0.0, "red"), (0.0, "green"), (0.5, "other")]
    instances = [
        {"amount": [amount] if boxed else amount, "colour": [colour] if boxed else colour}
        for amount, colour in rows
    ]
    response = fresh.post("/v1/models/table:predict", {"instances": instances})
    assert [row["label"] for row in response.json()["predictions"]] == ["high", "low", "low"]


def test_a_model_that_names_its_classes_gives_labels(client: Client) -> None:
    response = client.post("/v1/models/classifier:predict", {"instances": [[1, 5, 3], [9, 0, 0]]})
    assert response.json()["labels"] == ["one", "zero"]


def test_strings_go_in_and_out(client: Client) -> None:
    response = client.post("/v1/models/identity-BYTES:predict", {"instances": [["a", "naïve"]]})
    assert response.json() == {"predictions": [["a", "naïve"]]}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/nope:predict", {"instances": [1]}, 404, "Request for unknown model: `nope`"),
        (
            "/v1/models/double/versions/9:predict",
            {"instances": [1]},
            404,
            "Request for unknown model: `double` version",
        ),
        ("/v1/models/double:predict", {"inputs": [1]}, 400, 'expected `{"instances": [...]}`'),
        ("/v1/models/double:predict", b"{", 400, "the body is not valid JSON"),
        ("/v1/models/double:predict", {"instances": [[1, 2]]}, 400, "input `x` has the wrong shape"),
        ("/v1/models/total:predict", {"instances": [[1, 2, 3]]}, 400, "output `total` has shape `[]`"),
        ("/v1/models/log:predict", {"instances": [-1]}, 400, "output `y` holds NaN or an infinity"),
        ("/v1/models/identity-BF16:predict", {"instances": [[1, 2]]}, 400, "input `x`: `BF16`"),
    ],
)
def test_anything_else_is_refused(client: Client, path: str, body: object, status: int, message: str) -> None:
    response = client.post(path, body)
    assert response.status_code == status
    assert response.json()["error"].startswith(message)


def test_the_models_are_listed(client: Client) -> None:
    names = client.get("/v1/models").json()["models"]
    assert {"double", "classifier", "log"} <= set(names)
    assert client.get("/v1/models/double").json() == {"name": "double", "ready": True}
    assert client.get("/v1/models/nope").status_code == 404


def test_images_are_sent_as_they_are(tmp_path: Path, metrics: Metrics) -> None:
    text = "flat (float[N, 3, 2, 2] x) => (float[N, 12] y) { y = Flatten(x) }"
    manifest = {
        "preprocessing": {"mean": [0.5, 0.0, 0.0], "std": 0.5},
        "classes": [str(n) for n in range(12)],
    }
    models.put(tmp_path, "flat", models.with_manifest(models.model(text), manifest))
    engine = open_engine(options(tmp_path), metrics)
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 1] = (255, 51, 0)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    image = {"b64": base64.b64encode(stream.getvalue()).decode()}
    client = Client(create_app(engine, Settings(models=tmp_path)))
    answer = client.post("/v1/models/flat:predict", {"instances": [image, image]}).json()
    expected = [-1, 1, -1, -1, 0, 0.4, 0, 0, 0, 0, 0, 0]
    assert np.allclose(answer["predictions"], [expected] * 2, atol=1e-6)
    assert answer["labels"] == ["1", "1"]
    escaped = b'{"instances": [{"\\u0062\\u0036\\u0034": "%s"}]}' % image["b64"].encode()
    answer = client.post("/v1/models/flat:predict", escaped).json()
    assert np.allclose(answer["predictions"], [expected], atol=1e-6)
    broken = client.post("/v1/models/flat:predict", {"instances": [image, {"b64": "x"}]})
    assert (broken.status_code, "`instances[1]`" in broken.json()["error"]) == (400, True)
    engine.close()


def test_a_model_without_inputs_has_no_instances(tmp_path: Path, metrics: Metrics) -> None:
    models.put(
        tmp_path, "constant", models.model("g () => (float[2] y) { y = Constant<value_floats=[1.0, 2.0]>() }")
    )
    engine = open_engine(options(tmp_path), metrics)
    answer = Client(create_app(engine, Settings(models=tmp_path))).post(
        "/v1/models/constant:predict", {"instances": [1]}
    )
    engine.close()
    assert (answer.status_code, answer.json()["error"].partition(",")[0]) == (400, "the model has no inputs")


def test_few_requests_decode_images_at_once_in_threads(
    engine: Engine, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding: set[int] = set()
    most = 0

    def slowly(instances: list[Value], *_: object) -> dict[str, Array]:
        nonlocal most
        decoding.add(threading.get_ident())
        most = max(most, len(decoding))
        time.sleep(0.02)
        decoding.remove(threading.get_ident())
        assert threading.current_thread() is not threading.main_thread()
        return {"x": np.zeros((len(instances), 3), np.float32)}

    monkeypatch.setattr("serve.rest.instances.read_instances", slowly)
    app = create_app(engine, Settings(models=repository))
    body = orjson.dumps({"instances": [{"b64": ""}]})

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as asker:
            request = (asker.post("/v1/models/double:predict", content=body) for _ in range(8))
            return await asyncio.gather(*request)

    assert {answer.status_code for answer in asyncio.run(ask())} == {200}
    assert most == DECODING_REQUESTS
