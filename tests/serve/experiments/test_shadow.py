import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

import pytest

from serve.experiments.shadow import Mirror, MirrorCounts

LONG = 60.0  # seconds; never waited for unless something is wrong


class Runs:
    """A candidate whose runs end when the test lets them."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self.gate = asyncio.Event()

    async def __call__(self, request: str) -> None:
        self.started.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.gate.wait()
        finally:
            self._at_once -= 1


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(_main(test), LONG))


async def _main(test: Callable[[], Awaitable[None]]) -> None:
    await test()
    assert len(asyncio.all_tasks()) <= 2  # this one and its limit


async def until_idle(mirror: Mirror[str]) -> None:
    while mirror.under_way:
        await asyncio.sleep(0)


def test_an_offer_runs_nothing_before_the_loop_is_free() -> None:
    async def test() -> None:
        runs = Runs()
        runs.gate.set()
        mirror = Mirror(runs)
        assert mirror.offer("a", 1)
        assert runs.started == []
        await until_idle(mirror)
        assert runs.started == ["a"]
        assert mirror.counts == MirrorCounts(offered=1, done=1)

    run(test)


def test_what_is_too_much_is_dropped_and_counted() -> None:
    async def test() -> None:
        runs = Runs()
        mirror = Mirror(runs, max_waiting=2)
        assert [mirror.offer(name, 1) for name in "abcde"] == [True, True, True, False, False]
        await asyncio.sleep(0)
        assert runs.started == ["a"]
        runs.gate.set()
        await until_idle(mirror)
        assert runs.started == ["a", "b", "c"]
        assert mirror.counts == MirrorCounts(offered=5, done=3, dropped=2)
        assert mirror.offer("f", 1)
        await until_idle(mirror)
        assert mirror.counts.done == 4

    run(test)


def test_waiting_requests_are_bounded_in_bytes() -> None:
    async def test() -> None:
        runs = Runs()
        mirror = Mirror(runs, max_waiting_bytes=100)
        sizes = [10**9, 60, 41, 40, 1, 0]  # the first runs and does not wait
        assert [mirror.offer("x", size) for size in sizes] == [True, True, False, True, False, True]
        runs.gate.set()
        await until_idle(mirror)
        assert [mirror.offer("x", 100), mirror.offer("x", 100)] == [True, True]
        await until_idle(mirror)

    run(test)


@pytest.mark.parametrize("most", [1, 3])
def test_only_so_many_run_at_once(most: int) -> None:
    async def test() -> None:
        runs = Runs()
        mirror = Mirror(runs, max_running=most)
        for name in "abcdefgh":
            mirror.offer(name, 1)
        await asyncio.sleep(0)
        assert runs.started == list("abcdefgh")[:most]
        runs.gate.set()
        await until_idle(mirror)
        assert runs.most_at_once == most
        assert runs.started == list("abcdefgh")

    run(test)


class DoesNotStart:
    """A run that raises before there is anything to wait for."""

    def __call__(self, request: str) -> Awaitable[object]:
        raise ValueError(request)


async def fail(request: str) -> None:
    raise RuntimeError(request)


async def hang(request: str) -> None:
    await asyncio.sleep(LONG)


@pytest.mark.parametrize("candidate", [fail, DoesNotStart(), hang], ids=["fails", "does not start", "hangs"])
def test_a_failure_is_counted_and_the_next_request_runs(
    candidate: Callable[[str], Awaitable[object]],
) -> None:
    async def test() -> None:
        mirror = Mirror(candidate, run_seconds=0.01)
        for name in "abc":
            assert mirror.offer(name, 1)
        await until_idle(mirror)
        assert mirror.counts == MirrorCounts(offered=3, failed=3)

    run(test)


def test_the_end_waits_for_what_runs_and_drops_what_waits() -> None:
    async def test() -> None:
        runs = Runs()
        mirror = Mirror(runs)
        mirror.offer("a", 1)
        mirror.offer("b", 1)
        ends = [asyncio.ensure_future(mirror.close(LONG)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not mirror.offer("c", 1)
        runs.gate.set()
        await asyncio.gather(*ends)
        assert runs.started == ["a"]
        assert mirror.counts == MirrorCounts(offered=3, done=1, dropped=2)
        await mirror.close()

    run(test)


def test_the_end_cancels_what_takes_too_long() -> None:
    async def test() -> None:
        mirror = Mirror(hang)
        mirror.offer("a", 1)
        await mirror.close(0.0)
        assert mirror.counts == MirrorCounts(offered=1, cancelled=1)
        assert mirror.under_way == 0

    run(test)


def test_an_unused_mirror_ends_at_once() -> None:
    async def test() -> None:
        await Mirror(fail).close(LONG)

    run(test)


def test_a_request_is_let_go_after_its_run() -> None:
    class Request:
        """Something that keeps memory."""

    async def accept(request: Request) -> None:
        pass

    async def test() -> None:
        mirror = Mirror(accept)
        request = Request()
        alive = weakref.ref(request)
        mirror.offer(request, 1)
        del request
        while mirror.under_way:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        assert alive() is None

    run(test)
