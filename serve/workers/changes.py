"""What all workers are told: done by all of them or by none, and by each that starts later."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from serve.engine.errors import ConfigError, EngineError, ModelRefusedError
from serve.shared.channel import ChannelClosedError, Json
from serve.workers.spawn import Worker

log = logging.getLogger("adaptact")

LOG, REMOVE_ALIAS = "log", "remove_alias"
# What changes a worker's state: a new one is told the last of each kind, for each thing that it is about.
CHANGES = {
    "load": ("model", 1),
    "unload": ("model", 1),
    "set_alias": ("alias", 2),
    REMOVE_ALIAS: ("alias", 2),
    LOG: ("log", 0),
}
# Those that are answered with what undoes them, a verb and its arguments, or None where nothing does.
UNDONE = ("load", "unload", "set_alias", REMOVE_ALIAS)


class ChangeBroadcaster:
    """Tells the workers, one change after the other, and keeps what a new one must be told."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        """`workers` are those that there are at any time."""
        self._workers = workers
        self._last: dict[tuple[Json, ...], tuple[str, list[Json]]] = {}
        self._changing = asyncio.Lock()

    async def catch_up(self, worker: Worker) -> None:
        """Let the new worker do what the others were told; from now on it is told what they are."""
        async with self._changing:
            for verb, arguments in list(self._last.values()):
                try:
                    await worker.channel.ask(verb, *arguments)
                except EngineError as error:
                    if verb != REMOVE_ALIAS:  # it may never have had the alias
                        log.error("a new worker cannot do `%s` again: %s", verb, error)
            worker.told = True

    async def broadcast(self, verb: str, arguments: list[Json]) -> list[Json]:
        """Every worker's answer; raises what a worker has raised, with what became of the others'."""
        if verb in CHANGES:
            async with self._changing:
                return await self._change(verb, arguments)
        done, refused = await self._ask_all(verb, arguments)
        for error in refused.values():
            raise error
        return list(done.values())

    async def _change(self, verb: str, arguments: list[Json]) -> list[Json]:
        done, refused = await self._ask_all(verb, arguments)
        if not refused:
            if done:
                self._record(verb, arguments)
            return list(done.values())
        refusal = next(iter(refused.values()))
        if not done:
            if isinstance(refusal, ModelRefusedError) and not isinstance(refusal, ConfigError):
                self._record(verb, arguments)  # what could be loaded of the name was
            raise refusal
        undo = next(iter(done.values())) if verb in UNDONE else None
        if undo is not None:
            await self._undo(undo, done)
            became = "undone where it was done"
        else:
            self._record(verb, arguments)
            self._replace(refused)
            became = f"done by {len(done)} of {len(done) + len(refused)} workers; new ones replace the others"
        log.error("`%s` was refused by some workers, and is %s: %s", verb, became, refusal)
        raise type(refusal)(f"{refusal}; a worker refused this, which is {became}")

    async def _undo(self, undo: list[Json], done: Iterable[Worker]) -> None:
        """Let all have the state that those have which refused; a worker that cannot is replaced."""
        verb, *arguments = undo
        self._record(verb, arguments)
        # All, since of several versions a worker may have loaded some before it refused another.
        _, failed = await self._ask_all(verb, arguments)
        self._replace(failed.keys() & set(done))

    def _replace(self, workers: Iterable[Worker]) -> None:
        for worker in workers:
            worker.leave()
            worker.end()

    def _record(self, verb: str, arguments: list[Json]) -> None:
        kind, about = CHANGES[verb]
        subject = (kind, *arguments[:about])
        # To the end: what it needs, such as a version that was loaded for an alias, stands before it.
        _, before = self._last.pop(subject, ("", [{}]))
        if verb == LOG:  # of its settings each change names some
            arguments = [{**before[0], **arguments[0]}]
        self._last[subject] = verb, arguments

    async def _ask_all(
        self, verb: str, arguments: list[Json]
    ) -> tuple[dict[Worker, Json], dict[Worker, EngineError]]:
        """The answers and the refusals; who dies meanwhile gives neither."""
        asked = [worker for worker in self._workers if worker.told]
        answers = await asyncio.gather(
            *(worker.channel.ask(verb, *arguments) for worker in asked), return_exceptions=True
        )
        done: dict[Worker, Json] = {}
        refused: dict[Worker, EngineError] = {}
        for worker, answer in zip(asked, answers, strict=True):
            if isinstance(answer, EngineError):
                if not isinstance(answer, ChannelClosedError):
                    refused[worker] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                done[worker] = answer
        return done, refused
