import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from serve.engine.errors import EngineError, QueueFullError, UnknownModelError
from serve.shared import channel as channel_module
from serve.shared.channel import LARGEST_MESSAGE, LENGTH, Channel, ChannelClosedError, Json
from tests.waiting import SECONDS

Answer = Callable[[str, list[Json]], Awaitable[Json]]


async def nothing(verb: str, arguments: list[Json]) -> Json:
    return None


async def channel(end: socket.socket, answer: Answer) -> Channel:
    return Channel(*await asyncio.open_connection(sock=end), answer)


@asynccontextmanager
async def pair(answer: Answer, other: Answer = nothing) -> AsyncIterator[tuple[Channel, Channel]]:
    """The end that asks, and the one that answers; both listen."""
    one, two = socket.socketpair()
    asking, answering = await channel(one, other), await channel(two, answer)
    listening = [asyncio.create_task(each.listen()) for each in (asking, answering)]
    try:
        yield asking, answering
    finally:
        for each in listening:
            each.cancel()
        await asyncio.wait(listening)


def test_answers_may_come_in_any_order() -> None:
    async def answer(verb: str, arguments: list[Json]) -> Json:
        await asyncio.sleep((10 - arguments[0]) / 1000)  # the first asked is answered last
        return f"{verb} {arguments[0]}"

    async def run() -> list[Json]:
        async with pair(answer) as (asking, _):
            return await asyncio.gather(*(asking.ask("count", number) for number in range(10)))

    assert asyncio.run(run()) == [f"count {number}" for number in range(10)]


def test_both_ends_may_ask_at_once() -> None:
    async def double(verb: str, arguments: list[Json]) -> Json:
        return 2 * arguments[0]

    async def run() -> list[Json]:
        async with pair(double, double) as (one, two):
            return list(await asyncio.gather(one.ask("double", 4), two.ask("double", 5)))

    assert asyncio.run(run()) == [8, 10]


@pytest.mark.parametrize("error", [UnknownModelError("no `m`"), QueueFullError("full"), EngineError("other")])
def test_an_error_arrives_at_the_other_end(error: EngineError) -> None:
    async def answer(verb: str, arguments: list[Json]) -> Json:
        raise error

    async def run() -> None:
        async with pair(answer) as (asking, _):
            await asking.ask("fail")

    with pytest.raises(type(error), match=str(error)):
        asyncio.run(run())


def test_a_text_that_is_not_utf_8_arrives_as_it_is() -> None:
    async def answer(verb: str, arguments: list[Json]) -> Json:
        raise UnknownModelError(arguments[0])

    async def scenario() -> None:
        async with pair(answer) as (asking, _):
            with pytest.raises(UnknownModelError, match="a\udcffb"):
                await asking.ask("load", "a\udcffb")

    asyncio.run(scenario())


def test_only_the_log_has_the_text_of_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(verb: str, arguments: list[Json]) -> Json:
        raise ZeroDivisionError("a secret")

    async def run() -> None:
        async with pair(answer) as (asking, _):
            with pytest.raises(EngineError, match="`fail` failed: ZeroDivisionError") as raised:
                await asking.ask("fail")
            assert "secret" not in str(raised.value)

    asyncio.run(run())
    assert "a secret" in caplog.text


def test_an_answer_that_cannot_be_sent_is_an_error() -> None:
    async def answer(verb: str, arguments: list[Json]) -> Json:
        return object()

    async def run() -> None:
        async with pair(answer) as (asking, _):
            with pytest.raises(EngineError, match="`fail` failed"):
                await asyncio.wait_for(asking.ask("fail"), SECONDS)

    asyncio.run(run())


def test_the_end_of_a_process_ends_the_wait_for_it() -> None:
    async def run() -> None:
        one, two = socket.socketpair()
        asking = await channel(one, nothing)
        listening = asyncio.create_task(asking.listen())
        waiting = asyncio.create_task(asking.ask("anything"))
        await asyncio.sleep(0.01)
        two.close()
        with pytest.raises(ChannelClosedError):
            await waiting
        await listening
        with pytest.raises(ChannelClosedError):
            await asking.ask("anything")

    asyncio.run(run())


def test_a_message_beyond_the_limit_ends_the_channel() -> None:
    async def run() -> None:
        one, two = socket.socketpair()
        listening = await channel(one, nothing)
        two.send(LENGTH.pack(LARGEST_MESSAGE + 1))
        await asyncio.wait_for(listening.listen(), SECONDS)
        two.close()

    asyncio.run(run())


def test_what_the_other_end_would_not_read_is_an_error_and_not_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_module, "LARGEST_MESSAGE", 1000)

    async def answer(verb: str, arguments: list[Json]) -> Json:
        return "x" * arguments[0]

    async def run() -> Json:
        async with pair(answer) as (asking, _):
            with pytest.raises(EngineError, match="bytes, at most `1000`"):
                await asyncio.wait_for(asking.ask("long", 2000), SECONDS)
            with pytest.raises(EngineError, match="bytes, at most `1000`"):
                await asyncio.wait_for(asking.ask("x" * 2000, 1), SECONDS)
            return await asyncio.wait_for(asking.ask("short", 3), SECONDS)

    assert asyncio.run(run()) == "xxx"
