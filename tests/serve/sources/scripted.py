"""A server over HTTP whose answers a test writes, and which keeps what it was asked."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Answer:
    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """What the head says, where that is not true."""


@dataclass
class ScriptedServer:
    answers: dict[str, Answer | Callable[[BaseHTTPRequestHandler], Answer]] = field(default_factory=dict)
    """By path."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Each path with its query, and the authorization that it came with."""
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append((request.path, request.headers.get("Authorization", "")))
        found = self.answers.get(urlsplit(request.path).path, Answer(b"nothing", 404))
        answer = found if isinstance(found, Answer) else found(request)
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        length = len(answer.content) if answer.length is None else answer.length
        request.send_header("Content-Length", str(length))
        request.end_headers()
        with contextlib.suppress(OSError):  # it heard enough
            request.wfile.write(answer.content)


@contextlib.contextmanager
def run_scripted() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scripted.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scripted.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield scripted
        finally:
            server.shutdown()
            thread.join()
