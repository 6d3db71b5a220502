"""Distributes the port's connections: each to a worker with the fewest, in turn.

If workers accepted connections from a common queue, the quickest one would have most of them.
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
"""Sent with a connection: by how many it is beyond the limit."""
WAIT_SECONDS = 0.01
NO_DESCRIPTORS_SECONDS = 0.1


class ConnectionDistributor:
    """Accepts the connections of a listening socket and sends each to a worker."""

    def __init__(self, listener: socket.socket, workers: Sequence[Worker], limit: int) -> None:
        """The supervisor keeps the list `workers` up to date. They refuse connections beyond `limit`."""
        self._listener = listener
        self._workers = workers
        self._limit = limit
        self._turns = itertools.count(1)

    async def run(self) -> None:
        """Distribute until cancelled; while no worker is ready, or none keeps up, connections wait."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except ConnectionError:
                continue  # the client closed it while it waited
            except OSError as error:
                log.error("a connection cannot be taken: %s", error.strerror)
                await asyncio.sleep(NO_DESCRIPTORS_SECONDS)
                continue
            with connection:
                while not self._send(connection.fileno()):
                    await asyncio.sleep(WAIT_SECONDS)

    def _send(self, descriptor: int) -> bool:
        """Whether a worker has taken the connection."""
        surplus = max(0, 1 + sum(worker.connections for worker in self._workers) - self._limit)
        ready = [worker for worker in self._workers if worker.ready.is_set()]
        for worker in sorted(ready, key=lambda worker: (worker.connections, worker.last_turn)):
            with contextlib.suppress(OSError):  # its queue is full, or it is about to be replaced
                socket.send_fds(worker.connection_socket, [SURPLUS.pack(surplus)], [descriptor])
                worker.sent_connections += 1
                worker.last_turn = next(self._turns)
                return True
        return False
