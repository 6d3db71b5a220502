"""One worker as the supervisor sees it, and its beginning."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeAlias

from serve.shared.channel import Channel, Json
from serve.shared.memory import SharedCount, create_count

SupervisorResponder: TypeAlias = Callable[["Worker", str, list[Json]], Awaitable[Json]]
"""What the supervisor answers a worker that asks."""


@dataclass(slots=True, eq=False)
class Worker:
    """One process: the channel to it, and the socket by which it gets connections."""

    process: asyncio.subprocess.Process
    channel: Channel
    dealing: socket.socket
    finished: SharedCount
    """How many connections it has done with."""
    started: float = field(default_factory=monotonic)
    dealt: int = 0
    turn: int = 0
    """When it was last dealt a connection."""
    told: bool = False
    """Whether it has done what the others were told, and is told what they are."""
    opened: bool = False
    """Whether it has opened its doors, so that somebody may wait for an answer."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connections(self) -> int:
        """How many it has, those counted that it has not yet looked at."""
        return self.dealt - self.finished.value

    def leave(self) -> None:
        """Neither tell it anything from now on, nor deal it connections."""
        self.told = False
        self.ready.clear()

    def end(self) -> None:
        """Let it end once it has answered what it was asked; at once where nobody can have asked."""
        with suppress(ProcessLookupError):
            if self.opened:
                self.process.terminate()
            else:
                self.process.kill()  # while it loads a model it may not hear a signal for long


async def spawn_worker(settings: str, limits: int, answer: SupervisorResponder) -> Worker:
    """A worker that starts, not listened to yet; raises `OSError` where the system has no room for it.

    It reads the settings from its standard input; `limits` is the descriptor of `new_limits`.
    """
    with ExitStack() as kept, ExitStack() as given:
        dealing, its_dealing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        talking, its_talking = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for own, its in ((dealing, its_dealing), (talking, its_talking)):
            kept.enter_context(own)
            given.enter_context(its)
        finished = create_count()
        given.callback(os.close, finished)
        descriptors = its_dealing.fileno(), its_talking.fileno(), finished, limits
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "serve.workers.worker", *map(str, descriptors)),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,  # a terminal's Ctrl+C is for the supervisor, which asks them to end
        )
        assert process.stdin is not None
        process.stdin.write(settings.encode())
        process.stdin.close()
        dealing.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=talking)

        async def answered(verb: str, arguments: list[Json]) -> Json:
            return await answer(worker, verb, arguments)

        worker = Worker(process, Channel(reader, writer, answered), dealing, SharedCount(finished))
        kept.pop_all()
        return worker
