"""Answers to what models were asked: a body and its headers, compressed where the client asks and it pays."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import Response

from serve.protocol.compression import WORTH_BYTES, Coding, compress

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")
# From here on zlib takes longer than handing the work to another thread and back.
THREAD_BYTES = 16 * 2**10


class Answer(NamedTuple):
    """A body and its headers, all but its length."""

    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = (JSON,)

    def all_headers(self) -> Headers:
        """The headers, with the body's length."""
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]

    def response(self) -> Response:
        """The answer as the framework gives it."""
        response = Response(self.body)
        response.raw_headers = self.all_headers()
        return response


async def encoded(answer: Answer, coding: Coding | None) -> Answer:
    """The answer in the coding that the client likes best, or as it is where that is not worth it."""
    if coding is None or len(answer.body) < WORTH_BYTES:
        return answer
    if len(answer.body) < THREAD_BYTES:
        shorter = compress(answer.body, coding)
    else:
        shorter = await asyncio.to_thread(compress, answer.body, coding)
    if shorter is None:
        return answer
    return Answer(shorter, [*answer.headers, (b"content-encoding", coding.encode())])
