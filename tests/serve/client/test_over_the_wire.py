"""Both clients against the real server: the answers are those of an ONNX Runtime session, bit for bit."""

import asyncio
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx.parser import parse_model

from serve.client import AsyncClient, Client, InvalidInputError, UnknownModelError
from serve.engine.datatypes import DATATYPES
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.process import ServerProcess

NETWORK = """<ir_version: 10, opset_import: ["" : 20]>
network (float[N, 16] x) => (float[N, 8] y, float[N, 8] exponent, float[N] length) {
    w = Constant<value_floats = [WEIGHTS]>()
    shape = Constant<value = int64[2] {16, 8}>()
    matrix = Reshape(w, shape)
    y = MatMul(x, matrix)
    exponent = Exp(y)
    one = Constant<value = int64[1] {1}>()
    length = ReduceL2<keepdims = 0>(x, one)
}"""


def network() -> bytes:
    """A model whose answers are rounded in every step, and overflow."""
    weights = ", ".join(f"{w:.9g}" for w in np.random.default_rng(5).normal(0, 3, 128))
    return bytes(parse_model(NETWORK.replace("WEIGHTS", weights)).SerializeToString())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("served")
    path = models.put(folder, "network", network())
    with ServerProcess("--models", str(folder)) as server:
        yield server, ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def batch(rows: int) -> Array:
    found = np.random.default_rng(rows).normal(0, 40, (rows, 16)).astype(np.float32)
    found[0, 0], found[0, 1] = np.nan, -np.inf  # the other rows overflow by themselves
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rows", [2, 7, 64])
def test_binary_answers_are_the_sessions_bit_for_bit(served: Any, rows: int) -> None:
    server, session = served
    given = batch(rows)
    wanted = dict(zip(["y", "exponent", "length"], session.run(None, {"x": given}), strict=True))
    assert np.isinf(wanted["exponent"]).any()
    assert np.isnan(wanted["y"]).any()
    with Client(server.url) as client:
        answered = client.infer("network", {"x": given}).outputs

    async def ask() -> Any:
        async with AsyncClient(server.url) as client:
            return (await client.infer("network", {"x": given}, outputs=["length", "y"])).outputs

    for found in (answered, asyncio.run(ask())):
        assert {name: array.tobytes() for name, array in found.items()} == {
            name: wanted[name].tobytes() for name in found
        }


def test_the_server_is_described(server: ServerProcess) -> None:
    with Client(server.url) as client:
        assert client.is_live()
        assert client.is_ready()
        assert client.is_model_ready("double", "2")
        assert not client.is_model_ready("nope")
        assert client.server_metadata().name == "adaptact"
        assert client.model_metadata("double").versions == ("1", "2", "10")
        assert client.predict("classifier", [[1, 5, 2], [3, 0, 0]]).labels == ("one", "zero")


@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda datatype: datatype.name)
def test_every_datatype_goes_there_and_back(server: ServerProcess, datatype: Any) -> None:
    given = np.zeros((3, 2), datatype.dtype)
    if datatype.name == "BYTES":
        given[:] = [["", "naïve"], ["日本", "b"], ["c", "d"]]
    else:
        given.view(np.uint8)[::2] = 1
    with Client(server.url) as client:
        back = client.infer(f"identity-{datatype.name}", {"x": given})["y"]
    assert back.dtype == given.dtype
    assert back.tolist() == given.tolist()


def test_errors_have_their_types_and_the_client_goes_on(server: ServerProcess) -> None:
    with Client(server.url) as client:
        with pytest.raises(UnknownModelError, match="Request for unknown model: `nope`"):
            client.infer("nope", {"x": np.zeros((1, 3), np.float32)})
        with pytest.raises(InvalidInputError, match="wrong datatype"):
            client.infer("double", {"x": np.zeros((1, 3), np.float64)})
        assert client.infer("double", {"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[2, 2, 2]]
