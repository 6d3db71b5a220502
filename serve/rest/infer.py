"""`POST /v2/models/{model}[/versions/{version}]/infer`: the hot path, written by hand."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope

from serve.engine.engine import Engine
from serve.engine.errors import NotExpressibleError
from serve.engine.model import ServedModel
from serve.protocol.long_bodies import run_long
from serve.protocol.messages import InferRequest, read_raw_request, read_request, takes_long_to_read
from serve.protocol.replies import (
    NOT_PLACED,
    Answerer,
    InferReply,
    takes_long_to_write,
    write_reply,
)
from serve.rest.access import refuse_other_sites
from serve.rest.body import BINARY, JSON, JSON_BYTES, Answer, compress_answer, read_body, read_body_headers
from serve.rest.lockstep import NO_STAGE, STAGE
from serve.rest.metrics import RequestCounter
from serve.rest.middleware import TIMINGS, RequestTimings
from serve.rest.schemas import ERRORS, INFER, add_version
from serve.rest.trials import begin_trial
from serve.shared.regions import MemoryRegions, Outputs, PlacedAnswer

if TYPE_CHECKING:
    from serve.rollout.trials import Trial, Trials

PATH = "/v2/models/{model}/infer"
VERSION_PATH = "/v2/models/{model}/versions/{version}/infer"


class InferEndpoint:
    """Answers inference requests: parse, call the engine, write."""

    def __init__(
        self, engine: Engine, body_limit_bytes: int, regions: MemoryRegions, trials: "Trials | None" = None
    ) -> None:
        self._engine = engine
        self._memory = engine.memory
        self._body_limit_bytes = body_limit_bytes
        self._regions = regions
        self._trials = trials

    async def answer(self, scope: Scope, receive: Receive, name: str, version: str | None) -> Answer:
        """The answer to the request; raises `EngineError`, `HTTPException` or `ClientDisconnect`."""
        with RequestCounter(self._engine, name, version):
            body_headers = read_body_headers(scope)
            refuse_other_sites(body_headers.fields)
            body = await read_body(scope, body_headers, receive, self._body_limit_bytes)
            start = perf_counter()
            model = self._memory.find(name, version) or await self._memory.bring(name, version)
            timings: RequestTimings | None = scope.get(TIMINGS)
            if timings is not None:
                timings.model = model
            request = await _read(body, body_headers.json_bytes, model)
            given = body_headers.fields, (name, version), timings, request.unit
            trial = None if self._trials is None else begin_trial(self._trials, *given)
            read = perf_counter()
            # The stages of a traced request are timed, which others that run in between would spoil.
            stage: Awaitable[None] = STAGE if timings is None else NO_STAGE
            await stage
            if trial is None and not request.has_placements:
                # As `_run` does, whose calls were measured at 10 microseconds of the 130 of a small request.
                outputs = await self._engine.run(
                    model, request.inputs, tuple(request.outputs), timeout_seconds=request.timeout_seconds
                )
                answered = PlacedAnswer(request, outputs, NOT_PLACED)
            else:
                answered = await self._run(request, model, trial)
            ran = perf_counter()
            await stage
            writing = perf_counter()
            if trial is None:
                by, written = model, (Answerer(model.name, model.version, model.classes), *answered)
                is_long = takes_long_to_write(answered.request, answered.outputs)
                reply = await run_long(write_reply, *written) if is_long else write_reply(*written)
            else:
                by, reply = await self._reply_in_trial(model, request, answered, trial)
            headers = [BINARY, (JSON_BYTES, b"%d" % reply.json_bytes)] if reply.json_bytes else [JSON]
            ended = perf_counter()
            by.metrics.count_answer(read - start, ended - writing, ended - start)
            if timings is not None:
                timings.set_answered(by, answered.request.inputs, start, read, ran)
            headers += () if trial is None else trial.describe_in_headers()
            answer, accepted = Answer(reply.body, headers), body_headers.accepted
            answer = answer if accepted is None else await compress_answer(answer, accepted)
            if trial is not None:
                trial.finish(may_have_changed=bool(answered.request.placed))
            return answer

    async def _reply_in_trial(
        self, model: ServedModel, request: InferRequest, answered: PlacedAnswer, trial: "Trial"
    ) -> tuple[ServedModel, InferReply]:
        """Which version has answered, and its reply; the control's where no reply can hold the variant's."""
        try:
            # Not by `_write_in_trial`, whose coroutine costs each request.
            if not takes_long_to_write(answered.request, answered.outputs):
                by = trial.model or model
                about = Answerer(model.name, by.version, by.classes, trial.describe())
                return by, write_reply(about, *answered)
            return await _write_in_trial(model, trial, answered)
        except NotExpressibleError as error:
            trial.fail(error)
        return await _write_in_trial(model, trial, await self._run(request, model, trial, by_control=True))

    async def _run(
        self, request: InferRequest, model: ServedModel, trial: "Trial | None", *, by_control: bool = False
    ) -> PlacedAnswer:
        run: Callable[..., Awaitable[Outputs]] = partial(self._engine.run, model)
        if trial is not None:
            run = trial.run_control if by_control else trial.run
        run = partial(run, outputs=tuple(request.outputs), timeout_seconds=request.timeout_seconds)
        if request.has_placements:
            return await self._regions.run(request, run)
        return PlacedAnswer(request, await run(request.inputs), NOT_PLACED)


async def _write_in_trial(
    model: ServedModel, trial: "Trial", answered: PlacedAnswer
) -> tuple[ServedModel, InferReply]:
    """Which version has answered, and its reply under the name that the client gave, made in a thread."""
    by = trial.model or model
    written = Answerer(model.name, by.version, by.classes, trial.describe()), *answered
    return by, await run_long(write_reply, *written)


async def _read(body: bytes | bytearray, json_bytes: int | None, model: ServedModel) -> InferRequest:
    if json_bytes == 0:
        return read_raw_request(body, model.signature)
    if takes_long_to_read(body, json_bytes):
        return await run_long(read_request, body, json_bytes)
    return read_request(body, json_bytes)


def infer_routes(endpoint: InferEndpoint) -> APIRouter:
    """The routes of inference, with and without a version."""
    router = APIRouter(tags=["inference"])

    async def infer(request: Request) -> Response:
        """Run a model on tensors in JSON, in binary, or in both."""
        path = request.path_params
        answer = await endpoint.answer(request.scope, request.receive, path["model"], path.get("version"))
        return answer.response()

    for path, extra in ((PATH, INFER), (VERSION_PATH, add_version(INFER))):
        router.add_api_route(path, infer, methods=["POST"], responses=ERRORS, openapi_extra=extra)
    return router
