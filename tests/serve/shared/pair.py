"""Two workers that answer each other in one process."""

import json

from serve.shared.channel import Json
from serve.shared.worker_group import WorkerGroup


class Pair(WorkerGroup):
    """Two workers, of which this is one."""

    def __init__(self, other: WorkerGroup) -> None:
        super().__init__()
        self._other = other

    async def broadcast(self, verb: str, *arguments: Json) -> list[Json]:
        """What they answer, as it comes through a channel."""
        answers = [await group.answer(verb, list(arguments)) for group in (self, self._other)]
        copied: list[Json] = json.loads(json.dumps(answers))
        return copied
