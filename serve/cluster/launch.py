"""`python -m serve.cluster.launch PARENT ADDRESS GRPC CORE…`: becomes the server of a replica.

It ends when the replica's actor does, in the orderly way of SIGTERM, and listens on ports that the system
chooses, which it passes on as systemd would: no port can be taken meanwhile. Standard library only.
"""

import ctypes
import fcntl
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1
FIRST_DESCRIPTOR = 3
BACKLOG = 4096


def main() -> None:
    """Never returns."""
    parent, address, has_grpc = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "grpc"
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the actor of this replica has ended")
    if cores := [int(core) for core in sys.argv[4:]]:
        os.sched_setaffinity(0, cores)
    pass_sockets([_listen(address) for _ in range(1 + has_grpc)])
    # Without the working folder, whose files may have the names of modules.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "adaptact.cli", "serve", "--json"])


def pass_sockets(listeners: list[socket.socket]) -> None:
    """The program that this process becomes finds them where systemd's protocol says."""
    least = FIRST_DESCRIPTOR + len(listeners)
    # First away from the numbers that they get.
    moved = [fcntl.fcntl(listener.detach(), fcntl.F_DUPFD_CLOEXEC, least) for listener in listeners]
    for number, descriptor in enumerate(moved, FIRST_DESCRIPTOR):
        os.dup2(descriptor, number)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(listeners)))


def _listen(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, 0), family=family, backlog=BACKLOG)


if __name__ == "__main__":
    main()
