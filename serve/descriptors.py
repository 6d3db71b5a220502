"""How many descriptors a process may have: a connection is one, and the system's own limit is often low."""

import logging
import resource

log = logging.getLogger("adaptact")

OWN_DESCRIPTORS = 256
"""What a process has beside its connections over HTTP: those of gRPC, those it refuses, files, sockets."""


def allow_connections(connections: int) -> None:
    """Raise this process's limit, and so that of those it starts, to what so many connections need.

    Where the system does not allow that many, the limit is as high as it allows and the log says so.
    """
    needed = connections + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, needed):
        return
    if not _is_enough(hard, needed):
        log.warning(
            "`--connections %d` needs %d descriptors and the system allows %d: some connections would not be "
            "answered; raise the hard limit (`ulimit -Hn`), or allow %d connections",
            *(connections, needed, hard, max(1, hard - OWN_DESCRIPTORS)),
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if _is_enough(hard, needed) else hard, hard))


def _is_enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
