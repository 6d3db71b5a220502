"""`POST /v1/models/{model}[/versions/{version}]:predict`: instances in, predictions out."""

from time import perf_counter

from fastapi import APIRouter, Request, Response

from serve.engine.engine import Engine
from serve.protocol.predict import read_instances, write_predictions
from serve.rest.body import read_body
from serve.rest.metrics import Counting
from serve.rest.schemas import ERRORS, PREDICT, in_version

PATH = "/v1/models/{model}:predict"
VERSION_PATH = "/v1/models/{model}/versions/{version}:predict"


def predict_routes(engine: Engine, body_limit_bytes: int) -> APIRouter:
    """The routes of predictions, with and without a version."""
    router = APIRouter(tags=["inference"])

    async def predict(request: Request) -> Response:
        """Run a model on a list of instances, in JSON."""
        name, version = request.path_params["model"], request.path_params.get("version")
        with Counting(engine, name, version):
            body = await read_body(request.scope, request.receive, body_limit_bytes)
            return Response(await _predict(engine, body, name, version), media_type="application/json")

    for path, extra in ((PATH, PREDICT), (VERSION_PATH, in_version(PREDICT))):
        router.add_api_route(path, predict, methods=["POST"], responses=ERRORS, openapi_extra=extra)
    return router


async def _predict(engine: Engine, body: bytes | bytearray, name: str, version: str | None) -> bytes:
    start = perf_counter()
    model = engine.model(name, version)
    inputs = read_instances(body, model.signature)
    instances = len(next(iter(inputs.values())))
    read = perf_counter()
    outputs = await engine.infer(model.name, model.version, inputs)
    ran = perf_counter()
    text = write_predictions(outputs, instances, model.classes)
    model.metrics.input.observe(read - start)
    model.metrics.output.observe(perf_counter() - ran)
    return text
