"""Starts a worker process; the supervisor's side of it."""

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
"""The supervisor's answer to a worker, by verb and arguments."""


@dataclass(slots=True, eq=False)
class Worker:
    """A worker process: the channel to it, and the socket over which it gets connections."""

    process: asyncio.subprocess.Process
    channel: Channel
    connection_socket: socket.socket
    closed_connections: SharedCount
    started: float = field(default_factory=monotonic)
    sent_connections: int = 0
    last_turn: int = 0
    """The number of the last connection that it was sent, among those of all workers."""
    is_in_group: bool = False
    """Whether it has repeated the others' changes, and takes part in all later ones."""
    may_have_clients: bool = False
    """Whether a client may wait for its answer."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connections(self) -> int:
        """How many it has, including those that it has not read from the socket yet."""
        return self.sent_connections - self.closed_connections.value

    def exclude(self) -> None:
        """From now on it takes part in no change and gets no connection."""
        self.is_in_group = False
        self.ready.clear()

    def stop(self) -> None:
        """It ends once its requests are answered, or at once where it cannot have any."""
        with suppress(ProcessLookupError):
            if self.may_have_clients:
                self.process.terminate()
            else:
                self.process.kill()  # while it loads a model it may not handle a signal for long


async def spawn_worker(settings: str, limits: int, answer: SupervisorResponder) -> Worker:
    """A worker that starts; raises `OSError` where the system cannot start a process.

    Nothing reads its channel yet. It reads the settings from standard input; `limits` is the descriptor of
    `create_limits`.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        connection_socket, their_connection_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel_socket, their_channel_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (connection_socket, channel_socket):
            ours.enter_context(end)
        for end in (their_connection_socket, their_channel_socket):
            theirs.enter_context(end)
        closed = create_count()
        theirs.callback(os.close, closed)
        descriptors = their_connection_socket.fileno(), their_channel_socket.fileno(), closed, limits
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "serve.workers.worker", *map(str, descriptors)),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which stops the workers
        )
        assert process.stdin is not None
        process.stdin.write(settings.encode())
        process.stdin.close()
        connection_socket.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=channel_socket)

        async def answer_worker(verb: str, arguments: list[Json]) -> Json:
            return await answer(worker, verb, arguments)

        worker = Worker(
            process, Channel(reader, writer, answer_worker), connection_socket, SharedCount(closed)
        )
        ours.pop_all()
        return worker
