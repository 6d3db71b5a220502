"""What a worker and its colleagues do together; a server of one process is a worker without colleagues."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from serve.engine.errors import UnsupportedError
from serve.shared.channel import Channel, Json

Handler: TypeAlias = Callable[..., Awaitable[Json]]
# What a worker asks of its supervisor: to ask all of them; to be told what they were; and for connections.
BROADCAST, CATCH_UP, READY = "everybody", "catch up", "ready"


class WorkerGroup:
    """The worker itself, and nobody else."""

    def __init__(self) -> None:
        """Nothing can be asked yet."""
        self._deeds: dict[str, Handler] = {}

    def register(self, verb: str, deed: Handler) -> None:
        """From now on do this when `verb` is asked."""
        self._deeds[verb] = deed

    async def own(self, verb: str, arguments: list[Json]) -> Json:
        """What this worker answers; raises `UnsupportedError` for a verb that was not offered."""
        if verb not in self._deeds:
            raise UnsupportedError(f"`{verb}` is nothing that a worker can do")
        return await self._deeds[verb](*arguments)

    async def broadcast(self, verb: str, *arguments: Json) -> list[Json]:
        """The answer of every worker, in no order; raises what the first that failed has raised.

        Where workers are several, they are asked one verb after another, in the same order. What changes them
        is done by all or by none; where it was not, the error says what became of it.
        """
        return [await self.own(verb, list(arguments))]


class SupervisedWorkerGroup(WorkerGroup):
    """The workers of a supervisor, which asks all of them."""

    channel: Channel

    async def broadcast(self, verb: str, *arguments: Json) -> list[Json]:
        """As of `Colleagues`; a worker that died meanwhile is not among those that answer."""
        answers: list[Json] = await self.channel.ask(BROADCAST, verb, *arguments)
        return answers
