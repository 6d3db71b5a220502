"""Starts worker processes; it imports little, so that they start as early as can be."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from serve.shared.memory import WorkerCounts, create_counts


class WorkerProcess:
    """A worker's process: its id, its ends of the two sockets, and what it counts."""

    def __init__(
        self,
        popen: "subprocess.Popen[bytes]",
        counts: WorkerCounts,
        sockets: tuple[socket.socket, socket.socket, socket.socket],
    ) -> None:
        """`sockets` are the supervisor's end for connections and the worker's, and the channel's."""
        self.counts = counts
        self.connection_socket, self.connections_behind, self.channel_socket = sockets
        self._popen = popen
        self.descriptor = os.pidfd_open(popen.pid)
        """Readable once the process has ended."""

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send it the signal, unless it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, number)

    def wait(self) -> int:
        """The status with which it has ended."""
        return self._popen.wait()

    def end_connections(self) -> None:
        """Tell it that it gets no further connections."""
        self.connection_socket.close()

    def close(self) -> None:
        """Close what belongs to it, but for the channel's socket; it has ended."""
        os.close(self.descriptor)
        self.connection_socket.close()
        self.connections_behind.close()


def spawn_process(settings: str, limits: int, hung_files: Sequence[Any] = ()) -> WorkerProcess:
    """A worker that starts; raises `OSError` where the system cannot start a process.

    It reads the settings, as JSON, and the files that hung another worker from standard input; `limits` is
    the descriptor of `create_limits`.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        connections, their_connections = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel, their_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (connections, their_connections, channel):
            ours.enter_context(end)
        theirs.enter_context(their_channel)
        counts = create_counts()
        theirs.callback(os.close, counts)
        descriptors = their_connections.fileno(), their_channel.fileno(), counts, limits
        popen = subprocess.Popen(
            # Without the working folder, whose files may have the names of modules.
            [sys.executable, "-P", "-m", "serve.workers.worker", *map(str, (*descriptors, os.getpid()))],
            stdin=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which stops the workers
        )
        assert popen.stdin is not None
        with suppress(BrokenPipeError), popen.stdin as pipe:  # it has ended, which is seen later
            pipe.write(json.dumps([settings, list(hung_files)]).encode())
        connections.setblocking(False)
        process = WorkerProcess(popen, WorkerCounts(counts), (connections, their_connections, channel))
        ours.pop_all()
        return process
