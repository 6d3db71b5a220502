"""Distributes the ports' connections: each to a worker with the fewest, in turn.

If workers accepted connections from a common queue, the quickest one would have most of them.
"""

import asyncio
import itertools
import logging
import socket
import struct
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from serve.workers.supervised import Worker

log = logging.getLogger("adaptact")
ARRIVAL = struct.Struct("<IB")
"""Sent with a connection: by how many it is beyond the limit, and at which port it came."""
HTTP, GRPC = range(2)
DESCRIPTOR = struct.Struct("@i")
BURST = 256
"""So many connections are taken before anything else of the supervisor has its turn."""
WAIT_SECONDS = 0.01
NO_DESCRIPTORS_SECONDS = 0.1


class ConnectionDistributor:
    """Accepts the connections of listening sockets and sends each to a worker.

    While no worker is ready, or none keeps up, connections wait.
    """

    def __init__(self, listeners: Sequence[socket.socket], workers: Sequence[Worker], limit: int) -> None:
        """The listeners for HTTP, and for gRPC where that is on.

        The supervisor keeps the list `workers` up to date. They refuse connections beyond `limit`.
        """
        self._listeners = listeners
        self._workers = workers
        self._limit = limit
        self._turns = itertools.count(1)
        self._waiting: deque[tuple[socket.socket, int]] = deque()  # each with its port
        self._is_open = False
        self.latest = 0.0
        """When the latest connection came."""

    def start(self) -> None:
        """Distribute from now on; on the running event loop."""
        for listener in self._listeners:
            listener.setblocking(False)
        self._is_open = True
        self._resume()

    def has_connections(self) -> bool:
        """Whether there is any connection, after one turn for those that the system has ready."""
        self._accept_all()
        return bool(self._waiting) or any(worker.connections > 0 for worker in self._workers)

    def close(self) -> None:
        """Send on the connections that the system has ready, and refuse all later ones."""
        self._accept_all()
        self._is_open = False
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        while self._waiting:
            self._waiting.popleft()[0].close()

    def take_back(self, worker: Worker) -> None:
        """Give the connections that the worker has not read from its socket yet to others."""
        with suppress(OSError):  # there is none left
            while arrival := receive_connection(worker.process.connections_behind):
                connection, _, port = arrival
                worker.sent_connections -= 1
                if connection is not None:
                    self._waiting.append((connection, port))
        if self._waiting and self._is_open:
            self._resume()

    def _resume(self) -> None:
        """Send what waits, then take more, unless there is still no room."""
        if not self._is_open:
            return
        loop = asyncio.get_running_loop()
        if self._send_waiting():
            for port, listener in enumerate(self._listeners):
                loop.add_reader(listener, self._accept, port)
        else:
            self._pause(WAIT_SECONDS)

    def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener)
        loop.call_later(seconds, self._resume)

    def _accept_all(self) -> None:
        for port in range(len(self._listeners)):
            if self._is_open and not self._waiting:
                self._accept(port)

    def _accept(self, port: int) -> None:
        for _ in range(BURST):
            try:
                connection, _ = self._listeners[port].accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client closed it while it waited
            except OSError as error:
                log.error("a connection cannot be taken: %s", error.strerror)
                return self._pause(NO_DESCRIPTORS_SECONDS)
            self.latest = monotonic()
            self._waiting.append((connection, port))
            if not self._send_waiting():
                return self._pause(WAIT_SECONDS)

    def _send_waiting(self) -> bool:
        """Whether workers have taken all that wait."""
        while self._waiting:
            connection, port = self._waiting[0]
            if not self._send(connection.fileno(), port):
                return False
            self._waiting.popleft()
            connection.close()
        return True

    def _send(self, descriptor: int, port: int) -> bool:
        """Whether a worker has taken the connection."""
        surplus = max(0, 1 + sum(worker.connections for worker in self._workers) - self._limit)
        ready = [worker for worker in self._workers if worker.ready.is_set()]
        for worker in sorted(ready, key=_order):
            with suppress(OSError):  # its queue is full, or it is about to be replaced
                arrival = ARRIVAL.pack(surplus, port)
                socket.send_fds(worker.process.connection_socket, [arrival], [descriptor])
                worker.sent_connections += 1
                worker.last_turn = next(self._turns)
                return True
        return False


def receive_connection(end: socket.socket) -> tuple[socket.socket | None, int, int] | None:
    """The next connection, by how many it is beyond the limit, and at which port it came.

    The connection is None where this process has no descriptor left for it, and the whole where the other end
    is closed. Raises `BlockingIOError` where there is none now.
    """
    # Python's own `recv_fds` does not pass on the flags.
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    content, ancillary, _, _ = end.recvmsg(ARRIVAL.size, socket.CMSG_LEN(DESCRIPTOR.size), flags)
    if not content:
        return None
    surplus, port = ARRIVAL.unpack(content)
    for _, _, data in ancillary:
        if len(data) == DESCRIPTOR.size:
            return socket.socket(fileno=DESCRIPTOR.unpack(data)[0]), surplus, port
    return None, surplus, port


def _order(worker: Worker) -> tuple[bool, int, int]:
    return worker.is_late, worker.connections, worker.last_turn
