"""`/v2/logging`: which messages the server logs, read and changed while it runs."""

from fastapi import APIRouter, Request

from serve.log_settings import LogFilter, LogSettings, change_log
from serve.rest.body import read_small_object
from serve.rest.schemas import ERRORS, LOGGING
from serve.workers.colleagues import Colleagues


def log_settings_routes(passing: LogFilter, colleagues: Colleagues) -> APIRouter:
    """The routes of the log's settings, which are every worker's."""
    router = APIRouter(prefix="/v2/logging", tags=["server"], responses=ERRORS)

    @router.get("")
    async def log_settings() -> LogSettings:
        """Which messages are logged."""
        return passing.settings

    @router.post("", openapi_extra=LOGGING)
    async def change_log_settings(request: Request) -> LogSettings:
        """Change which messages are logged; what is not given stays."""
        return await change_log(colleagues, await read_small_object(request.scope, request.receive))

    return router
