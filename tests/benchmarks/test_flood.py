"""The load of benchmarks.overload, against a server that refuses every other request, in pieces."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import cycle
from typing import Any

from benchmarks.servers.flood import Answers, Load

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
ANSWERS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull",
)


class _EveryOther(asyncio.Protocol):
    """Answers in two pieces, with a refusal every other time; `opened` are the connections that are open."""

    def __init__(self, opened: set[asyncio.BaseTransport]) -> None:
        self._opened = opened
        self._answers = cycle(ANSWERS)

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self._opened.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._opened.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        answer = next(self._answers)
        self._transport.write(answer[:-1])
        asyncio.get_running_loop().call_later(0.001, self._transport.write, answer[-1:])


def _run(load: Callable[[Load], Coroutine[Any, Any, Answers]]) -> Answers:
    async def main() -> Answers:
        opened = set[asyncio.BaseTransport]()
        make = partial(_EveryOther, opened)
        async with await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0) as server:
            answers = await load(Load(server.sockets[0].getsockname()[1], REQUEST))
        while opened:
            await asyncio.sleep(0.001)
        return answers

    return asyncio.run(main())


def test_clients_repeat_whatever_the_answer_is() -> None:
    answers = _run(lambda load: load.repeat_at_once(clients=3, seconds=0.3))
    assert set(answers.statuses) - {0} == {200, 503}
    assert abs(answers.statuses[200] - answers.statuses[503]) <= 3
    assert len(answers.seconds) == answers.statuses[200]
    assert 0 < answers.percentile(50) <= answers.percentile(99)


def test_requests_that_find_no_connection_are_counted() -> None:
    answers = _run(lambda load: load.send_at_rate(rate=1e5, seconds=0.2, connections=1))
    assert answers.statuses[0] > answers.statuses[200] > 0
