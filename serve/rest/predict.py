"""KServe's and TensorFlow Serving's older API: `:predict`, and the list of models."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import Receive, Scope

from serve.engine.engine import Engine
from serve.engine.errors import NotExpressibleError
from serve.engine.model import ServedModel
from serve.protocol.json_text import LONG_BYTES
from serve.protocol.json_writing import PIECE_VALUES
from serve.protocol.long_bodies import run_long
from serve.protocol.predict import write_predictions
from serve.rest.access import refuse_other_sites
from serve.rest.body import JSON, Answer, compress_answer, read_body, read_body_headers
from serve.rest.health import ModelReady
from serve.rest.instances import InstanceReader, RequestInstances
from serve.rest.metrics import RequestCounter
from serve.rest.middleware import TIMINGS, RequestTimings
from serve.rest.schemas import ERRORS, PREDICT, ModelName, add_version
from serve.rest.trials import begin_trial
from serve.shared.regions import Outputs

if TYPE_CHECKING:
    from serve.rollout.trials import Trial, Trials

PATH = "/v1/models/{model}:predict"
VERSION_PATH = "/v1/models/{model}/versions/{version}:predict"


class NoColonConvertor(StringConvertor):
    """A part of a path without the colon that other routes have before their action."""

    regex = "[^/:]+"


class ModelNames(BaseModel):
    """The models that can answer."""

    models: list[str]


class PredictEndpoint:
    """Answers instances with predictions: reads them, calls the engine, writes the reply."""

    def __init__(self, engine: Engine, body_limit_bytes: int, trials: "Trials | None" = None) -> None:
        self._engine = engine
        self._trials = trials
        self._body_limit_bytes = body_limit_bytes
        self._reader = InstanceReader()

    async def answer(self, scope: Scope, receive: Receive, name: str, version: str | None) -> Answer:
        """The answer to the request; raises `EngineError`, `HTTPException` or `ClientDisconnect`."""
        with RequestCounter(self._engine, name, version):
            headers = read_body_headers(scope)
            refuse_other_sites(headers.fields)
            body = await read_body(scope, headers, receive, self._body_limit_bytes)
            begin = None
            if self._trials is not None:
                target = name, version
                begin = partial(begin_trial, self._trials, headers.fields, target, scope.get(TIMINGS))
            memory = self._engine.memory
            model = memory.find(name, version) or await memory.bring(name, version)
            text, trial = await self._predict(body, model, begin, scope.get(TIMINGS))
            described = () if trial is None else trial.describe_in_headers()
            answer = Answer(text, [JSON, *described])
            answer = await compress_answer(answer, headers.accepted)
            if trial is not None:
                trial.finish()
            return answer

    async def _predict(
        self,
        body: bytes | bytearray,
        model: ServedModel,
        begin: "Callable[[], Trial | None] | None",
        timings: RequestTimings | None,
    ) -> "tuple[bytes, Trial | None]":
        start = perf_counter()
        if timings is not None:
            timings.model = model
        instances = await self._reader.parse(body)
        trial, reading = None if begin is None else begin(), model
        if trial is not None:
            trial.reader = instances
            reading = await instances.choose(trial.find_model(), model)
        inputs = await instances.read_inputs(reading)
        read = perf_counter()
        outputs = await (self._engine.run(model, inputs) if trial is None else trial.run(inputs))
        ran = perf_counter()
        try:
            by, text = await _write(model, trial, outputs, instances)
        except NotExpressibleError as error:
            if trial is None:
                raise
            trial.fail(error)
            control = await trial.run_control(inputs)
            by, text = await _write(model, trial, control, instances)
        ended = perf_counter()
        by.metrics.count_answer(read - start, ended - ran, ended - start)
        if timings is not None:
            timings.set_answered(by, inputs, start, read, ran)
        return text, trial


async def _write(
    model: ServedModel, trial: "Trial | None", outputs: Outputs, instances: RequestInstances
) -> tuple[ServedModel, bytes]:
    """Which version has answered, and its predictions."""
    by = model if trial is None or trial.model is None else trial.model
    read = await instances.read(by)
    written = outputs, read.rows, by.classes, read.truncated
    if instances.size_bytes > LONG_BYTES or sum(array.size for array in outputs.values()) > PIECE_VALUES:
        return by, await run_long(write_predictions, *written)
    return by, write_predictions(*written)


def predict_routes(engine: Engine, endpoint: PredictEndpoint) -> APIRouter:
    """The routes of predictions, with and without a version, and of the list of models."""
    register_url_convertor("no_colon", NoColonConvertor())
    router = APIRouter(tags=["inference"])

    async def predict(request: Request) -> Response:
        """Run a model on a list of instances, in JSON."""
        path = request.path_params
        answer = await endpoint.answer(request.scope, request.receive, path["model"], path.get("version"))
        return answer.response()

    for path, extra in ((PATH, PREDICT), (VERSION_PATH, add_version(PREDICT))):
        router.add_api_route(path, predict, methods=["POST"], responses=ERRORS, openapi_extra=extra)

    @router.get("/v1/models", responses=ERRORS)
    async def models() -> ModelNames:
        """The models that can answer."""
        return ModelNames(models=engine.names())

    @router.get("/v1/models/{model:no_colon}", responses=ERRORS)
    async def model_ready(model: ModelName) -> ModelReady:
        """Answers 200 if the model can answer."""
        return ModelReady(name=engine.model(model).name)

    return router
