"""Calls on an event loop from other threads."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop

from serve.engine.loop_calls import LoopCalls, PlainLoopCalls

Runner: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.mark.parametrize("kind", [LoopCalls, PlainLoopCalls])
@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_calls_from_threads_are_made_in_their_order(
    runner: Runner, kind: type[LoopCalls | PlainLoopCalls]
) -> None:
    threads, numbers = range(4), range(100)
    made: list[tuple[int, int]] = []

    async def wait() -> None:
        calls, loop_thread = kind(asyncio.get_running_loop()), threading.get_ident()
        left = asyncio.Semaphore(0)

        def note(thread: int, number: int) -> None:
            assert threading.get_ident() == loop_thread
            made.append((thread, number))
            left.release()

        def work(thread: int) -> None:
            for number in numbers:
                calls.call_soon(note, thread, number)

        for thread in threads:
            threading.Thread(target=work, args=[thread]).start()
        for _ in range(len(threads) * len(numbers)):
            await left.acquire()

    runner(wait())
    for thread in threads:
        assert [number for maker, number in made if maker == thread] == list(numbers)


def test_a_call_that_fails_leaves_the_others() -> None:
    reported: list[object] = []

    async def wait() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        calls = LoopCalls(loop)
        calls.call_soon([].remove, 1)
        calls.call_soon(done.set)
        await done.wait()

    uvloop.run(wait())
    assert [type(error) for error in reported] == [ValueError]


@pytest.mark.parametrize("kind", [LoopCalls, PlainLoopCalls])
@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_a_closed_loop_is_called_no_more_and_leaves_no_descriptor(
    runner: Runner, kind: type[LoopCalls | PlainLoopCalls]
) -> None:
    async def make() -> LoopCalls | PlainLoopCalls:
        return kind(asyncio.get_running_loop())

    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        calls = runner(make())
        calls.call_soon(os.abort)
        del calls
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
