"""The HTTP status and reply of each error."""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from math import ceil
from types import MappingProxyType
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from adaptact.languages.catalogue import Language
from serve.access.errors import KeyRequiredError
from serve.engine.errors import EngineError, quote
from serve.rejections import Fault, client_message, fault_of, retry_after_seconds
from serve.rest.language import describe_language, read_language, tell

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

STATUS: dict[Fault, HTTPStatus] = {
    "unknown": HTTPStatus.NOT_FOUND,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "late": HTTPStatus.GATEWAY_TIMEOUT,
    "invalid": HTTPStatus.BAD_REQUEST,
    "conflict": HTTPStatus.CONFLICT,
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
    """A body in an unsupported coding."""

    def __init__(self, coding: str) -> None:
        super().__init__(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"`Content-Encoding` {quote(coding)} is not read; send `gzip`, `deflate`, or uncompressed",
            headers={"Accept-Encoding": "gzip, deflate"},
        )


def status_of(error: Exception) -> int:
    """The status of the reply to this error."""
    return error.status_code if isinstance(error, HTTPException) else STATUS[fault_of(error)]


def make_error_response(error: Exception, language: Language = "en") -> JSONResponse:
    """The reply to an error whose message is safe to show."""
    message = str(error)
    headers: Mapping[str, str] | None = None
    if isinstance(error, EngineError) and error.reply_headers:
        headers = {name.decode(): value.decode() for name, value in error.reply_headers}
    if isinstance(error, HTTPException):
        message, headers = error.detail, error.headers
    elif isinstance(error, KeyRequiredError):
        headers = {"WWW-Authenticate": "Bearer"}
    elif (seconds := retry_after_seconds(error)) is not None:
        headers = {**(headers or {}), "Retry-After": str(max(1, ceil(seconds)))}
    return _write_error(message, status_of(error), language, headers, getattr(error, "details", {}))


def make_unexpected_response(error: Exception, language: Language = "en") -> JSONResponse:
    """The reply to an unexpected error, whose text goes to the log and not to the client."""
    return _write_error(client_message(error), HTTPStatus.INTERNAL_SERVER_ERROR, language)


def _write_error(
    message: str,
    status: int,
    language: Language,
    headers: Mapping[str, str] | None = None,
    details: Mapping[str, str] = MappingProxyType({}),
) -> JSONResponse:
    told = {"error": tell(message, language), **details}
    return JSONResponse(told, status, {**(headers or {}), **describe_language(language)})


async def _answer_error(request: Request, error: Any) -> JSONResponse:
    return make_error_response(error, read_language(request.scope["headers"]))


async def _answer_unroutable(request: Request, error: Any) -> JSONResponse:
    if error.detail != HTTPStatus(error.status_code).phrase:
        return make_error_response(error, read_language(request.scope["headers"]))
    # The framework's own 404 and 405 have no text but their status.
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; see `/docs` for what there is"
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_find_methods(request))}
    return _write_error(message, error.status_code, read_language(request.scope["headers"]), headers)


def _find_methods(request: Request) -> list[str]:
    """The methods of the path; the framework names only those of the first matching route."""

    def has_route(method: str) -> bool:
        # The middleware passes HEAD on as GET.
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in METHODS if has_route(method)]


async def _answer_invalid(request: Request, error: Any) -> JSONResponse:
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
    )
    return _write_error(problems[:1000], HTTPStatus.BAD_REQUEST, read_language(request.scope["headers"]))


async def _answer_disconnected(request: Request, error: Any) -> JSONResponse:
    # No client reads it; without a handler every lost client would log a stack trace.
    return JSONResponse({"error": "the client went away"}, HTTPStatus.BAD_REQUEST)


async def _answer_unexpected(request: Request, error: Any) -> JSONResponse:
    return make_unexpected_response(error, read_language(request.scope["headers"]))


# The second argument is of the class that the handler is registered for.
HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    EngineError: _answer_error,
    HTTPException: _answer_unroutable,
    RequestValidationError: _answer_invalid,
    ClientDisconnect: _answer_disconnected,
    Exception: _answer_unexpected,
}
