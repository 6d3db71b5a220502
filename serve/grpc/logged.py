"""Calls as lines of the access log: what is called is the path, and the status is gRPC's number."""

from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeAlias

from grpc import StatusCode
from grpc.aio import ServicerContext

from serve.access.gate import Gate
from serve.grpc.access import sender_of
from serve.rest.access_log import AccessLog, identify

Context: TypeAlias = "ServicerContext[bytes, bytes]"
Unary: TypeAlias = Callable[[bytes, Context], Awaitable[bytes]]
Streaming: TypeAlias = Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]
METHOD = "gRPC"


class CallLog:
    """The access log, told of calls; without one nothing is told, and nothing is spent on it."""

    def __init__(self, log: AccessLog | None, gate: Gate) -> None:
        """The gate knows who calls."""
        self._log = log
        self._gate = gate

    def unary(self, path: str, answer: Unary) -> Unary:
        """The answer, and a line about it."""
        if self._log is None:
            return answer

        async def logged(data: bytes, context: Context) -> bytes:
            with self._line(path, context):
                return await answer(data, context)

        return logged

    def streaming(self, path: str, answer: Streaming) -> Streaming:
        """The stream, and a line about it once it ends."""
        if self._log is None:
            return answer

        async def logged(coming: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            with self._line(path, context):
                async for each in answer(coming, context):
                    yield each

        return logged

    @contextmanager
    def _line(self, path: str, context: Context) -> Iterator[None]:
        began = perf_counter()
        status: int | None = None
        try:
            yield
        except (CancelledError, GeneratorExit):
            status = _number(StatusCode.CANCELLED)
            raise
        finally:
            headers = [
                (name.encode(), value.encode() if isinstance(value, str) else bytes(value))
                for name, value in context.invocation_metadata() or ()
            ]
            scope = {"method": METHOD, "path": path, "headers": headers}
            caller = self._gate.named(*sender_of(context)).name
            number = _number(context.code()) if status is None else status
            assert self._log is not None
            self._log.record(scope, identify(scope), caller, number, perf_counter() - began)


def _number(code: StatusCode | int | None) -> int:
    """The status code's number; 0, `OK`, where none was set."""
    number: int = code.value[0] if isinstance(code, StatusCode) else code or 0
    return number
