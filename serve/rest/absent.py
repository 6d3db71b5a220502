"""Parts of the protocol that this server does not have, which say so: shared memory, and traces to a file."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from serve.engine.engine import Engine
from serve.engine.errors import MalformedRequestError, UnsupportedError, listed, quoted
from serve.protocol.text import Value
from serve.rest.body import read_small_object
from serve.rest.schemas import ERRORS, TRACE, ModelName

OFF: dict[str, Value] = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
}


class TraceSettings(BaseModel):
    """Nothing is traced to a file."""

    trace_level: list[str] = ["OFF"]
    trace_rate: str = "1000"
    trace_count: str = "-1"
    log_frequency: str = "0"
    trace_file: str = ""


def trace_routes(engine: Engine) -> APIRouter:
    """The routes of traces to a file, of the server and of a model."""
    router = APIRouter(prefix="/v2", tags=["server"], responses=ERRORS)

    @router.get("/trace/setting")
    async def trace_settings() -> TraceSettings:
        """Nothing is traced to a file."""
        return TraceSettings()

    @router.get("/models/{model}/trace/setting")
    async def model_trace_settings(model: ModelName) -> TraceSettings:
        """Nothing is traced to a file."""
        engine.model(model)
        return TraceSettings()

    @router.post("/trace/setting", openapi_extra=TRACE)
    async def change_trace_settings(request: Request) -> TraceSettings:
        """Takes what leaves it so, and refuses anything else."""
        return _changed(await read_small_object(request.scope, request.receive))

    @router.post("/models/{model}/trace/setting", openapi_extra=TRACE)
    async def change_model_trace_settings(model: ModelName, request: Request) -> TraceSettings:
        """Takes what leaves it so, and refuses anything else."""
        engine.model(model)
        return _changed(await read_small_object(request.scope, request.receive))

    return router


def shared_memory_routes() -> APIRouter:
    """The routes of tensors in shared memory: all of them answer that there is none."""
    router = APIRouter(include_in_schema=False)
    for kind in ("system", "cuda"):
        for region in ("", "/region/{region}"):
            for verb, method in (("status", "GET"), ("register", "POST"), ("unregister", "POST")):
                router.add_api_route(f"/v2/{kind}sharedmemory{region}/{verb}", _refuse, methods=[method])
    return router


async def _refuse(request: Request) -> None:
    raise UnsupportedError("shared memory is not supported by this server; send tensors in binary")


def _changed(given: dict[str, Value]) -> TraceSettings:
    for key, value in given.items():
        if key not in OFF:
            raise MalformedRequestError(f"{quoted(key)} is no setting of traces; known: {listed(list(OFF))}")
        # null puts a setting back to what it is anyway.
        if value is not None and value != OFF[key]:
            raise UnsupportedError(
                f"traces to a file are not supported by this server; {quoted(key)} cannot be {quoted(value)}"
            )
    return TraceSettings()
