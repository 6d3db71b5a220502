"""The port's connections, dealt out to the workers: each to one that has fewest, in turn.

Where workers take connections from a common queue, the one that is quickest to look has most of them.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
import struct
from collections.abc import Sequence

from serve.workers.spawn import Worker

log = logging.getLogger("adaptact")
SURPLUS = struct.Struct("<I")
"""What goes with a connection: by how many it is beyond the limit."""
WAIT_SECONDS = 0.01
NO_DESCRIPTORS_SECONDS = 0.1


class ConnectionDistributor:
    """Takes what comes at a listening socket, and counts what all workers have of it."""

    def __init__(self, listener: socket.socket, workers: Sequence[Worker], limit: int) -> None:
        """`workers` are those that there are at any time; beyond `limit` connections they refuse more."""
        self._listener = listener
        self._workers = workers
        self._limit = limit
        self._turns = itertools.count(1)

    async def run(self) -> None:
        """Deal until cancelled; where no worker is ready, or none keeps up, connections wait."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except ConnectionError:
                continue  # the client went away before its turn came
            except OSError as error:
                log.error("a connection cannot be taken: %s", error.strerror)
                await asyncio.sleep(NO_DESCRIPTORS_SECONDS)
                continue
            with connection:
                while not self._give(connection.fileno()):
                    await asyncio.sleep(WAIT_SECONDS)

    def _give(self, descriptor: int) -> bool:
        surplus = max(0, 1 + sum(worker.connections for worker in self._workers) - self._limit)
        ready = [worker for worker in self._workers if worker.ready.is_set()]
        for worker in sorted(ready, key=lambda worker: (worker.connections, worker.turn)):
            with contextlib.suppress(OSError):  # its queue is full, or it is about to be replaced
                socket.send_fds(worker.dealing, [SURPLUS.pack(surplus)], [descriptor])
                worker.dealt += 1
                worker.turn = next(self._turns)
                return True
        return False
