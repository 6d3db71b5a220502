"""Answers written at once: head and body in one piece, past the web server's own sending."""

from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serve.observe.access_log import REQUEST_ID

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
# Beyond this, copying head and body together takes longer than writing twice.
JOINED_BYTES = 64 * 2**10

# Keys of a scope beside those of ASGI: the web server's cycle, until it is answered;
CYCLE = "adaptact.cycle"
# the status of an answer that was written at once.
STATUS = "adaptact.status"
# whether the request was a HEAD, which the application answers as a GET.
IS_HEAD = "adaptact.is_head"


def set_request_id(cycle: RequestResponseCycle, request_id: bytes) -> None:
    """Add the request's id to the answer's headers, whoever writes it."""
    others = [header for header in cycle.default_headers if header[0] != REQUEST_ID]
    cycle.default_headers = [*others, (REQUEST_ID, request_id)]


def write_at_once(scope: Scope, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
    """Whether the answer was written at once; else it is to be sent as usual.

    `headers` include the body's length. uvicorn itself writes head and body apart, which costs a packet and
    a system call more.
    """
    cycle: RequestResponseCycle | None = scope.pop(CYCLE, None)
    if cycle is None or cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
        return False
    lines = [STATUS_LINES[status]]
    for name, value in (*cycle.default_headers, *headers):
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    cycle.response_started = cycle.response_complete = True
    scope[STATUS] = status
    cycle.waiting_for_100_continue = False
    if len(body) > JOINED_BYTES:
        cycle.transport.write(b"".join(lines))
        cycle.transport.write(body)
    else:
        lines.append(body)
        cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
