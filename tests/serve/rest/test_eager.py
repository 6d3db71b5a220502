"""A coroutine that begins at once does what it would in a task."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from serve.rest.eager import start_eagerly
from serve.rest.lockstep import STAGE


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_without_a_wait_there_is_no_task() -> None:
    done = []

    async def quick() -> None:
        await asyncio.sleep(0)
        await STAGE
        done.append(1)

    async def test() -> None:
        assert start_eagerly(quick()) is None
        assert done == [1]

    run(test)


def test_the_rest_of_one_that_waits_runs_in_a_task() -> None:
    steps: list[object] = []

    async def slow(future: "asyncio.Future[int]") -> None:
        steps.append(await future)
        await asyncio.sleep(0)
        steps.append(await asyncio.to_thread(lambda: "thread"))
        steps.append(asyncio.current_task())

    async def test() -> None:
        future = asyncio.get_running_loop().create_future()
        task = start_eagerly(slow(future))
        assert task is not None
        assert not steps
        future.set_result(7)
        await task
        assert steps == [7, "thread", task]

    run(test)


@pytest.mark.parametrize("is_at_once", [False, True])
@pytest.mark.parametrize("is_caught", [False, True])
def test_a_cancellation_reaches_it(is_caught: bool, is_at_once: bool) -> None:
    seen: list[tuple[object, ...]] = []

    async def slow() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            if not is_caught:
                raise
            await asyncio.sleep(0)  # it may wait again, to answer

    async def test() -> None:
        task = start_eagerly(slow())
        assert task is not None
        if not is_at_once:
            await asyncio.sleep(0)
        task.cancel("gone")
        await asyncio.wait([task])
        assert task.cancelled() is not is_caught
        assert seen == [("gone",)]

    run(test)


def test_an_error_is_raised_where_it_comes_up() -> None:
    async def fail(waits: bool) -> None:
        if waits:
            await asyncio.sleep(1e-9)
        raise ZeroDivisionError

    async def test() -> None:
        with pytest.raises(ZeroDivisionError):
            start_eagerly(fail(waits=False))
        task = start_eagerly(fail(waits=True))
        assert task is not None
        with pytest.raises(ZeroDivisionError):
            await task

    run(test)


def test_an_error_that_it_waited_for_is_freed_at_once() -> None:
    class Body:
        """Large in a server."""

    freed = []

    async def refuse(futures: list["asyncio.Future[None]"], body: Body) -> None:
        freed.append(weakref.ref(body))
        with contextlib.suppress(ValueError):
            await futures[0]

    async def test() -> None:
        futures = [asyncio.get_running_loop().create_future()]
        task = start_eagerly(refuse(futures, Body()))
        assert task is not None
        futures.pop().set_exception(ValueError("no"))
        await task
        assert freed[0]() is None

    gc.collect()
    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()
