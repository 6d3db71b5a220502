"""Starts worker processes; it imports little, as the supervisor does.

The first workers are forked (`serve/workers/fork.py`); one that takes the place of another is started anew.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Any

from serve.shared.memory import WorkerCounts, create_counts, write_text

STDIN = 0


@dataclass(frozen=True, slots=True)
class WorkerEnds:
    """The descriptors of what the supervisor and one worker share."""

    connections: int
    """Here the supervisor sends connections,"""
    worker_connections: int
    """and here the worker gets them; the supervisor keeps this end too, to take them back."""
    channel: int
    worker_channel: int
    counts: int

    def of_worker(self, limits: int) -> tuple[int, int, int, int]:
        """Those that the worker needs, and that of `create_limits`."""
        return self.worker_connections, self.worker_channel, self.counts, limits

    def close(self) -> None:
        """Close all of them, in a process that has nothing to do with this worker."""
        for descriptor in astuple(self):
            os.close(descriptor)

    def set_inheritable(self, inheritable: bool) -> None:
        """Whether a program that this process starts, or becomes, has them."""
        for descriptor in astuple(self):
            os.set_inheritable(descriptor, inheritable)


@dataclass(frozen=True, slots=True)
class StartedWorker:
    """A process that has been started, and what it shares with its supervisor."""

    pid: int
    ends: WorkerEnds


class WorkerProcess:
    """The supervisor's side of a worker's process."""

    def __init__(self, started: StartedWorker) -> None:
        """It owns the descriptors from now on."""
        ends = started.ends
        self.pid = started.pid
        self.connection_socket = socket.socket(fileno=ends.connections)
        self.connection_socket.setblocking(False)
        self.connections_behind = socket.socket(fileno=ends.worker_connections)
        self.channel_socket = socket.socket(fileno=ends.channel)
        self.counts = WorkerCounts(ends.counts)
        os.close(ends.counts)
        os.close(ends.worker_channel)
        self.descriptor = os.pidfd_open(started.pid)
        """Readable once the process has ended."""
        self._has_ended = False

    def send_signal(self, number: signal.Signals) -> None:
        """Send it the signal, unless it has ended."""
        if not self._has_ended:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.descriptor, number)

    def wait(self) -> int:
        """The status with which it has ended; negative is the signal."""
        self._has_ended = True
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def end_connections(self) -> None:
        """Tell it that it gets no further connections."""
        self.connection_socket.close()

    def close(self) -> None:
        """Close what belongs to it, but for the channel's socket; it has ended."""
        os.close(self.descriptor)
        self.connection_socket.close()
        self.connections_behind.close()


def open_ends() -> WorkerEnds:
    """New sockets and counts for one worker; raises `OSError`."""
    connections, worker_connections = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with connections, worker_connections:
        channel, worker_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with channel, worker_channel:
            return WorkerEnds(
                counts=create_counts(),
                connections=connections.detach(),
                worker_connections=worker_connections.detach(),
                channel=channel.detach(),
                worker_channel=worker_channel.detach(),
            )


def spawn_worker(settings: str, limits: int, hung_files: Sequence[Any]) -> StartedWorker:
    """A worker that starts; raises `OSError` where the system cannot start a process.

    It reads the settings, as JSON, and the files that hung another worker from standard input; `limits` is
    the descriptor of `create_limits`.
    """
    ends = open_ends()
    text = write_text(json.dumps([settings, list(hung_files)]))
    given = ends.of_worker(limits)
    # Without the working folder, whose files may have the names of modules.
    command = [sys.executable, "-P", "-m", "serve.workers.worker", *map(str, (*given, os.getpid()))]
    try:
        for descriptor in given:
            os.set_inheritable(descriptor, True)
        pid = os.posix_spawn(
            sys.executable,
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, text, STDIN)],
            setsid=True,  # a terminal's Ctrl-C is for the supervisor, which stops the workers
        )
    except OSError:
        ends.close()
        raise
    finally:
        os.close(text)
    for descriptor in given:
        os.set_inheritable(descriptor, False)
    return StartedWorker(pid, ends)
