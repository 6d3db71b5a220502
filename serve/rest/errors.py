"""What each error means over HTTP: the only table of statuses, and the one form of an error's body."""

import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serve.engine.errors import (
    EngineError,
    InvalidInputError,
    MalformedRequestError,
    ModelUnavailableError,
    NotExpressibleError,
    RunFailedError,
    StartupError,
    UnknownModelError,
    UnsupportedError,
)

log = logging.getLogger("adaptact")

STATUS: dict[type[EngineError], HTTPStatus] = {
    UnknownModelError: HTTPStatus.NOT_FOUND,
    ModelUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    InvalidInputError: HTTPStatus.BAD_REQUEST,
    MalformedRequestError: HTTPStatus.BAD_REQUEST,
    NotExpressibleError: HTTPStatus.BAD_REQUEST,
    UnsupportedError: HTTPStatus.NOT_IMPLEMENTED,
    RunFailedError: HTTPStatus.INTERNAL_SERVER_ERROR,
    StartupError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class BodyTooLarge(HTTPException):
    """A body beyond the limit, announced or already received."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the limit of `{limit_bytes}` bytes"
        )


class UnsupportedEncoding(HTTPException):
    """A compressed body, which is not read."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "a body with `Content-Encoding` is not read; send it uncompressed",
            headers={"Accept-Encoding": "identity"},
        )


def status_of(error: Exception) -> int:
    """The status that answers this error: the nearest of its classes that has one, else 500."""
    if isinstance(error, HTTPException):
        return error.status_code
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def answer(error: Exception) -> JSONResponse:
    """The reply to an error whose message is safe to show."""
    message, headers = str(error), None
    if isinstance(error, HTTPException):
        message, headers = error.detail, error.headers
    return JSONResponse({"error": message}, status_of(error), headers)


def answer_unexpected(error: Exception) -> JSONResponse:
    """The reply to an error that nobody foresaw: it goes to the log, not to the client."""
    log.error("unexpected error", exc_info=error)
    message = "something went wrong in the server; its log says what"
    return JSONResponse({"error": message}, HTTPStatus.INTERNAL_SERVER_ERROR)


async def _answer_error(request: Request, error: Any) -> JSONResponse:
    return answer(error)


async def _answer_unroutable(request: Request, error: Any) -> JSONResponse:
    if error.detail != HTTPStatus(error.status_code).phrase:
        return answer(error)
    # The framework's own 404 and 405 say nothing but their status.
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; see `/docs` for what there is"
    return JSONResponse({"error": message}, error.status_code, error.headers)


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
