"""A change of experiments in every worker of a server, before whoever asked for it is answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from serve.engine.errors import EngineError
from serve.shared.worker_group import WorkerGroup

log = logging.getLogger("adaptact")

FOLLOW = "follow_experiments"


def join_followers(workers: WorkerGroup, catch_up: Callable[[], bool]) -> Callable[[], Awaitable[None]]:
    """What returns once every worker follows what is registered, or after a few seconds.

    `catch_up` waits until this one does, and says whether it does. The change is stored by then: a worker
    that is late follows it a second later, and nothing is raised.
    """

    async def follow_here() -> bool:
        return await asyncio.to_thread(catch_up)

    async def follow() -> None:
        try:
            if not all(await workers.broadcast(FOLLOW)):
                log.warning("a worker follows the change of an experiment later")
        except EngineError as error:
            log.warning("a worker follows the change of an experiment later: %s", error)

    workers.register(FOLLOW, follow_here)
    return follow
