"""The web server's HTTP parser, with a bound on what precedes a body."""

from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The web server itself would keep any number of headers, of any length.
HEAD_BYTES = 64 * 2**10


class BoundedHttp(HttpToolsProtocol):
    """Refuses a request whose line and headers go on beyond the bound, and answers its own errors in JSON."""

    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is still the head and too much of it."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(status, f"the headers are larger than the limit of `{HEAD_BYTES}` bytes")

    def on_headers_complete(self) -> None:
        """From here on the body's own limit counts."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request's head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close the connection."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        body = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
