"""One request and its answer, as the web server keeps them, and an answer that is written in one piece."""

from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serve.watch.access_log import REQUEST_ID

STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
# Beyond this, to copy head and body together takes longer than to write twice.
JOINED_BYTES = 64 * 2**10
# What a scope holds beside what ASGI says: the cycle, until it is answered,
CYCLE = "adaptact.cycle"
# the task that may be cancelled if the client goes away,
TASK = "adaptact.task"
# the error that answers a request whose body does not come to its end,
CUT = "adaptact.cut"
# and the status of an answer that was written in one piece.
WRITTEN = "adaptact.written"


def name_answer(cycle: RequestResponseCycle, request_id: bytes) -> None:
    """Let the answer carry the request's id, whatever and however it is answered."""
    others = [header for header in cycle.default_headers if header[0] != REQUEST_ID]
    cycle.default_headers = [*others, (REQUEST_ID, request_id)]


def write_in_one(scope: Scope, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
    """Whether an answer of this status, headers and body was written at once; else it is to be sent as usual.

    The web server writes head and body apart, which costs a packet and a system call more. `headers` name
    the length of the body.
    """
    cycle: RequestResponseCycle | None = scope.pop(CYCLE, None)
    if cycle is None or cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
        return False
    lines = [STATUS_LINES[status]]
    for name, value in (*cycle.default_headers, *headers):
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    cycle.response_started = cycle.response_complete = True
    scope[WRITTEN] = status
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
