"""Extensions of the protocol: log settings, and traces to a file, which this server does not support."""

from fastapi import APIRouter, Request

from serve.engine.engine import Engine
from serve.observe.log_settings import LogFilter, LogSettings, update_log_settings
from serve.protocol.trace_settings import TraceSettings, update_trace_settings
from serve.rest.body import read_small_object
from serve.rest.schemas import ERRORS, LOGGING, TRACE, ModelName
from serve.shared.worker_group import WorkerGroup


def log_settings_routes(log_filter: LogFilter, workers: WorkerGroup) -> APIRouter:
    """The routes of the log settings, which all workers share."""
    router = APIRouter(prefix="/v2/logging", tags=["server"], responses=ERRORS)

    @router.get("")
    async def log_settings() -> LogSettings:
        """The log settings."""
        return log_filter.settings

    @router.post("", openapi_extra=LOGGING)
    async def change_log_settings(request: Request) -> LogSettings:
        """Change log settings; those that are left out stay."""
        return await update_log_settings(workers, await read_small_object(request.scope, request.receive))

    return router


def trace_routes(engine: Engine) -> APIRouter:
    """The routes of the trace settings, of the server and of a model."""
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
        """Accepts settings that trace nothing, and refuses all others."""
        return update_trace_settings(await read_small_object(request.scope, request.receive))

    @router.post("/models/{model}/trace/setting", openapi_extra=TRACE)
    async def change_model_trace_settings(model: ModelName, request: Request) -> TraceSettings:
        """Accepts settings that trace nothing, and refuses all others."""
        engine.model(model)
        return update_trace_settings(await read_small_object(request.scope, request.receive))

    return router
