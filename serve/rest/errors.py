"""What each error is over HTTP: the only table of statuses, and the one form of an error's body."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from serve.access.errors import KeyRequiredError
from serve.engine.errors import EngineError, quoted
from serve.rejections import Fault, fault_of, message_of, retry_after_seconds

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

STATUS: dict[Fault, HTTPStatus] = {
    "unknown": HTTPStatus.NOT_FOUND,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "late": HTTPStatus.GATEWAY_TIMEOUT,
    "invalid": HTTPStatus.BAD_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unsupported": HTTPStatus.NOT_IMPLEMENTED,
    "failed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "key": HTTPStatus.UNAUTHORIZED,
    "role": HTTPStatus.FORBIDDEN,
    "too_often": HTTPStatus.TOO_MANY_REQUESTS,
}


class BodyTooLarge(HTTPException):
    """A body beyond the limit, announced or already received."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the limit of `{limit_bytes}` bytes"
        )


class UnsupportedEncoding(HTTPException):
    """A body in a coding that is not read."""

    def __init__(self, coding: str) -> None:
        super().__init__(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"`Content-Encoding` {quoted(coding)} is not read; send `gzip`, `deflate`, or uncompressed",
            headers={"Accept-Encoding": "gzip, deflate"},
        )


def status_of(error: Exception) -> int:
    """The status that answers this error."""
    return error.status_code if isinstance(error, HTTPException) else STATUS[fault_of(error)]


def answer(error: Exception) -> JSONResponse:
    """The reply to an error whose message is safe to show."""
    message, headers = str(error), None
    if isinstance(error, HTTPException):
        message, headers = error.detail, error.headers
    elif isinstance(error, KeyRequiredError):
        headers = {"WWW-Authenticate": "Bearer"}
    elif (seconds := retry_after_seconds(error)) is not None:
        headers = {"Retry-After": str(max(1, ceil(seconds)))}
    return JSONResponse({"error": message}, status_of(error), headers)


def answer_unexpected(error: Exception) -> JSONResponse:
    """The reply to an error that nobody foresaw: it goes to the log, not to the client."""
    return JSONResponse({"error": message_of(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)


async def _answer_error(request: Request, error: Any) -> JSONResponse:
    return answer(error)


async def _answer_unroutable(request: Request, error: Any) -> JSONResponse:
    if error.detail != HTTPStatus(error.status_code).phrase:
        return answer(error)
    # The framework's own 404 and 405 say nothing but their status.
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; see `/docs` for what there is"
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods(request))}
    return JSONResponse({"error": message}, error.status_code, headers)


def _methods(request: Request) -> list[str]:
    """The methods that the path takes; the framework names only those of the first route that it finds."""

    def takes(method: str) -> bool:
        # The door asks for the one where the other is asked.
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in METHODS if takes(method)]


async def _answer_invalid(request: Request, error: Any) -> JSONResponse:
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
    )
    return JSONResponse({"error": problems[:1000]}, HTTPStatus.BAD_REQUEST)


async def _answer_disconnected(request: Request, error: Any) -> JSONResponse:
    # Nobody is there to read it; without a handler every lost client would log a stack trace.
    return JSONResponse({"error": "the client went away"}, HTTPStatus.BAD_REQUEST)


async def _answer_unexpected(request: Request, error: Any) -> JSONResponse:
    return answer_unexpected(error)


# The second argument is of the class that the handler is registered for.
HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    EngineError: _answer_error,
    HTTPException: _answer_unroutable,
    RequestValidationError: _answer_invalid,
    ClientDisconnect: _answer_disconnected,
    Exception: _answer_unexpected,
}
