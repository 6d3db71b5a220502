"""The workers of one server, of which each can ask all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from serve.engine.errors import UnsupportedError
from serve.engine.memory.plan import plan_room
from serve.shared.channel import Channel, Json

Handler: TypeAlias = Callable[..., Awaitable[Json]]
# What a worker asks its supervisor: to ask all workers, to repeat earlier changes, to send connections, and
# to put another process in its place; and what it tells it: why it cannot start.
BROADCAST, CATCH_UP, READY, STUCK, REFUSED = "broadcast", "catch up", "ready", "stuck", "refused"
# What a worker asks all of them: to make room for a model, then to do what the other arguments say with it.
IN_ROOM, MEMORY, EVICT = "in room", "memory", "evict"
# What a worker asks all of them, and the supervisor knows as changes of shared memory.
REGISTER_REGION, UNREGISTER_REGION = "register_region", "unregister_region"


class WorkerGroup:
    """A group of this worker alone."""

    def __init__(self) -> None:
        """No handler is registered yet."""
        self._handlers: dict[str, Handler] = {}
        self._making_room = asyncio.Lock()

    def register(self, verb: str, handler: Handler) -> None:
        """From now on the handler answers `verb`."""
        self._handlers[verb] = handler

    async def answer(self, verb: str, arguments: list[Json]) -> Json:
        """This worker's answer; raises `UnsupportedError` for a verb without a handler."""
        if verb not in self._handlers:
            raise UnsupportedError(f"`{verb}` is nothing that a worker can do")
        return await self._handlers[verb](*arguments)

    async def broadcast(self, verb: str, *arguments: Json) -> list[Json]:
        """The answers of all workers, in no order; raises the error of the first that failed.

        All workers are asked the same verbs in the same order. A change is made by all of them or by none;
        where that fails, the error says how many have made it.
        """
        if verb != IN_ROOM:
            return [await self.answer(verb, list(arguments))]
        name, verb, *others = arguments
        async with self._making_room:
            for victim in plan_room(name, [await self.answer(MEMORY, [name])]):
                await self.answer(EVICT, [victim])
            return [await self.answer(verb, [name, *others])]


class SupervisedWorkerGroup(WorkerGroup):
    """All workers of a supervisor, which forwards what one of them asks."""

    channel: Channel

    async def broadcast(self, verb: str, *arguments: Json) -> list[Json]:
        """As of `WorkerGroup`; a worker that dies meanwhile does not answer."""
        answers: list[Json] = await self.channel.ask(BROADCAST, verb, *arguments)
        return answers
