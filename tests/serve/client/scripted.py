"""A server that gives prepared answers, and keeps the requests that it received."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """One reply; `cut` closes the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    seconds_a_byte: float = 0.0


@dataclass
class ReceivedRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def json_reply(content: object, status: int = 200, **headers: str) -> Answer:
    """A reply in JSON."""
    return Answer(status, json.dumps(content).encode(), headers)


class Scripted(ThreadingHTTPServer):
    """Gives the answers in order, and repeats the last one."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.requests: list[ReceivedRequest] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(ReceivedRequest(self.command, self.path, headers, body))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self._write(answer)

    def do_POST(self) -> None:
        self.do_GET()

    def _write(self, answer: Answer) -> None:
        body = answer.body[: answer.cut]
        if answer.seconds_a_byte:
            for byte in body:
                time.sleep(answer.seconds_a_byte)
                self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(body)
        if answer.cut is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle(self) -> None:
        with suppress(OSError):  # the client went away
            super().handle()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def scripted(*answers: Answer) -> Iterator[Scripted]:
    server = Scripted(*answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
