"""Coroutines in lockstep: who does what when."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from serve.rest.lockstep import ALONE_SECONDS, MAX_REQUESTS, STAGE, Lockstep


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def no_task(task: "asyncio.Task[None]") -> None:
    raise AssertionError


def test_a_stage_ends_for_all_before_the_next_begins_for_any() -> None:
    done: list[str] = []

    async def request(name: str, stages: int) -> None:
        for stage in range(stages):
            done.append(f"{name}{stage}")
            await STAGE
        done.append(f"{name}!")

    async def test() -> None:
        lockstep = Lockstep()
        for name, stages in (("a", 2), ("b", 0), ("c", 1)):
            lockstep.start(request(name, stages), no_task)
        assert done == []
        await asyncio.sleep(0)
        assert done == ["a0", "b!", "c0", "a1", "c!", "a!"]
        lockstep.start(request("d", 0), no_task)
        await asyncio.sleep(0)
        assert done[-1] == "d!"

    run(test)


def test_one_that_waits_holds_up_no_other_and_comes_to_its_end_in_a_task() -> None:
    done: list[object] = []

    async def slow(future: "asyncio.Future[str]") -> None:
        await STAGE
        done.append(await future)
        await STAGE
        done.append(asyncio.current_task())

    async def quick() -> None:
        await STAGE
        await STAGE
        done.append("quick")

    async def test() -> None:
        lockstep, tasks = Lockstep(), list[asyncio.Task[None]]()
        future = asyncio.get_running_loop().create_future()
        lockstep.start(slow(future), tasks.append)
        lockstep.start(quick(), no_task)
        await asyncio.sleep(0)
        assert done == ["quick"]
        [task] = tasks
        future.set_result("waited")
        await task
        assert done == ["quick", "waited", task]

    run(test)


def test_only_so_many_run_before_others_have_a_turn() -> None:
    done: list[int] = []

    async def request(number: int) -> None:
        await STAGE
        done.append(number)

    async def test() -> None:
        lockstep, count = Lockstep(), 2 * MAX_REQUESTS + 1
        for number in range(count):
            lockstep.start(request(number), no_task)
        lengths = []
        while len(done) < count:
            await asyncio.sleep(0)
            lengths.append(len(done))
        assert lengths == [MAX_REQUESTS, 2 * MAX_REQUESTS, count]
        assert done == sorted(done)

    run(test)


def test_one_that_comes_alone_again_and_again_runs_at_once() -> None:
    now, done = 0.0, []

    async def request(number: int) -> None:
        await STAGE
        done.append(number)

    async def test() -> None:
        nonlocal now
        lockstep = Lockstep(lambda: now)
        lockstep.start(request(0), no_task)
        assert done == []
        await asyncio.sleep(0)
        for number in (1, 2):
            now += 2 * ALONE_SECONDS
            lockstep.start(request(number), no_task)
            assert done[-1] == number
        lockstep.start(request(3), no_task)  # it was there already
        assert done[-1] == 2
        lockstep.start(request(4), no_task)
        await asyncio.sleep(0)
        assert done[-2:] == [3, 4]
        now += 2 * ALONE_SECONDS
        lockstep.start(request(5), no_task)  # the last did not come alone
        assert done[-1] == 4
        await asyncio.sleep(0)

    run(test)
