"""Changes of all workers: made by all of them or by none, and repeated by every worker that starts later."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from serve.engine.errors import ConfigError, EngineError, ModelRefusedError
from serve.engine.memory.plan import plan_room
from serve.shared.channel import ChannelClosedError, Json
from serve.shared.worker_group import EVICT, IN_ROOM, MEMORY, REGISTER_REGION, UNREGISTER_REGION
from serve.workers.supervised import Worker

log = logging.getLogger("adaptact")

READ_SECONDS = 3.0
"""So long workers are waited for that are asked for metrics or statistics."""
LOG, REMOVE_ALIAS = "log", "remove_alias"
# The verbs that change a worker: their kind, and how many arguments name their subject. A new worker repeats
# the last change of each kind and subject.
CHANGES = {
    "load": ("model", 1),
    "unload": ("model", 1),
    EVICT: ("room", 1),
    "demand": ("room", 1),
    "set_alias": ("alias", 2),
    REMOVE_ALIAS: ("alias", 2),
    LOG: ("log", 0),
    REGISTER_REGION: ("region", 1),
    UNREGISTER_REGION: ("region", 1),
}
# The verbs whose answer is the verb and arguments that undo them, or None where nothing does.
UNDOABLE = ("load", "unload", "set_alias", REMOVE_ALIAS, REGISTER_REGION, UNREGISTER_REGION)


class ChangeBroadcaster:
    """Sends changes to the workers, one after the other, and keeps those that a new worker must repeat."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        """`workers` is the list that the supervisor keeps up to date."""
        self._workers = workers
        self._last: dict[tuple[Json, ...], tuple[str, list[Json]]] = {}
        self._lock = asyncio.Lock()

    async def catch_up(self, worker: Worker) -> None:
        """The new worker repeats the others' changes, and takes part in all later ones."""
        async with self._lock:
            for verb, arguments in list(self._last.values()):
                try:
                    await worker.channel.ask(verb, *arguments)
                except EngineError as error:
                    if verb != REMOVE_ALIAS:  # it may never have had the alias
                        log.error("a new worker cannot do `%s` again: %s", verb, error)
            worker.is_in_group = not worker.is_excluded

    async def broadcast(self, verb: str, arguments: list[Json]) -> list[Json]:
        """Every worker's answer; raises a worker's error, which says whether the others made the change.

        A worker that hangs is left out; so is one that takes longer than READ_SECONDS where nothing changes.
        """
        if verb in CHANGES:
            async with self._lock:
                return await self._change(verb, arguments)
        if verb == IN_ROOM:
            name, then, *others = arguments
            async with self._lock:
                await self._make_room(name)
                return await self._change(then, [name, *others])
        done, refused = await self._ask_all(verb, arguments, READ_SECONDS)
        for error in refused.values():
            raise error
        if not done:
            raise ChannelClosedError(f"no worker answered `{verb}` within {READ_SECONDS:g} s; try again")
        return list(done.values())

    async def _make_room(self, name: str) -> None:
        """Unload from all workers what has to be for the model; raises `ModelUnloadedError`."""
        reports, refused = await self._ask_all(MEMORY, [name])
        for error in refused.values():
            raise error
        for victim in plan_room(name, list(reports.values())):
            await self._change(EVICT, [victim])

    async def _change(self, verb: str, arguments: list[Json]) -> list[Json]:
        done, refused = await self._ask_all(verb, arguments)
        if not refused:
            if done:
                self._record(verb, arguments)
            return list(done.values())
        refusal = next(iter(refused.values()))
        if not done:
            if isinstance(refusal, ModelRefusedError) and not isinstance(refusal, ConfigError):
                self._record(verb, arguments)  # the versions that could be loaded were loaded
            raise refusal
        undo = next(iter(done.values())) if verb in UNDOABLE else None
        if undo is not None:
            await self._undo(undo, done)
            outcome = "undone where it was done"
        else:
            self._record(verb, arguments)
            self._replace(refused)
            outcome = (
                f"done by {len(done)} of {len(done) + len(refused)} workers; new ones replace the others"
            )
        log.error("`%s` was refused by some workers, and is %s: %s", verb, outcome, refusal)
        raise type(refusal)(f"{refusal}; a worker refused this, which is {outcome}")

    async def _undo(self, undo: list[Json], done: Iterable[Worker]) -> None:
        """All workers go back to the state of those that refused; a worker that cannot is replaced."""
        verb, *arguments = undo
        self._record(verb, arguments)
        # All workers, since one may have loaded some versions before it refused another.
        _, failed = await self._ask_all(verb, arguments)
        self._replace(failed.keys() & set(done))

    def _replace(self, workers: Iterable[Worker]) -> None:
        for worker in workers:
            worker.exclude("has not made a change that the others made")

    def _record(self, verb: str, arguments: list[Json]) -> None:
        kind, count = CHANGES[verb]
        subject = (kind, *arguments[:count])
        # At the end, after what it needs, such as the load of the version that an alias names.
        _, before = self._last.pop(subject, ("", [{}]))
        if verb == LOG:  # each change names some of its settings
            arguments = [{**before[0], **arguments[0]}]
        if verb != UNREGISTER_REGION:  # a new worker has no regions, and clients may use ever new names
            self._last[subject] = verb, arguments

    async def _ask_all(
        self, verb: str, arguments: list[Json], seconds: float | None = None
    ) -> tuple[dict[Worker, Json], dict[Worker, EngineError]]:
        """The answers and the refusals; a worker that dies, hangs or is late gives neither."""
        asked = [
            worker for worker in self._workers if worker.is_in_group and not (seconds and worker.is_late)
        ]
        answers = await asyncio.gather(
            *(asyncio.wait_for(worker.channel.ask(verb, *arguments), seconds) for worker in asked),
            return_exceptions=True,
        )
        done: dict[Worker, Json] = {}
        refused: dict[Worker, EngineError] = {}
        for worker, answer in zip(asked, answers, strict=True):
            if isinstance(answer, TimeoutError | ChannelClosedError):
                log.warning("`%s` is without worker %d: %s", verb, worker.process.pid, answer or "it is late")
            elif isinstance(answer, EngineError):
                refused[worker] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                done[worker] = answer
        return done, refused
