"""What systemd hands to a service that it starts, and what it is told by one.

Source: sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3),
https://www.freedesktop.org/software/systemd/man/latest/
"""

import asyncio
import os
import socket
from contextlib import suppress

from serve.engine.errors import ListenError

FIRST_DESCRIPTOR = 3
NAMES = ("http", "grpc")
"""The sockets' `FileDescriptorName=`; sockets of other names are taken in this order."""
MICROSECONDS = 1_000_000


def take_listeners(with_grpc: bool) -> list[socket.socket]:
    """The listening sockets of systemd's socket units, HTTP's first; none where systemd passed none.

    They are passed once: programs that this process starts do not find them. Raises `ListenError` where they
    are not what the server needs.
    """
    passed = {key: os.environ.pop(f"LISTEN_{key}", "") for key in ("PID", "FDS", "FDNAMES")}
    if passed["PID"] != str(os.getpid()) or not passed["FDS"].isdecimal():
        return []
    expected = NAMES if with_grpc else NAMES[:1]
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(passed["FDS"]))
    if len(descriptors) != len(expected):
        raise ListenError(
            f"systemd passes {len(descriptors)} sockets, expected {len(expected)}: one for HTTP, and with "
            "`--grpc-port` another for gRPC"
        )
    by_name = dict(zip(passed["FDNAMES"].split(":"), descriptors, strict=False))
    ordered = [by_name[name] for name in expected] if set(by_name) == set(expected) else descriptors
    return [_take(descriptor) for descriptor in ordered]


def _take(descriptor: int) -> socket.socket:
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(f"descriptor {descriptor} of systemd is no socket: {error.strerror}") from error
    is_listening = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if passed.family in {socket.AF_INET, socket.AF_INET6} and is_listening:
        return passed
    passed.close()
    raise ListenError(
        f"descriptor {descriptor} of systemd is no listening TCP socket: `ListenStream=` needs a port, "
        "and `Accept=` must be `no`"
    )


def notify(*lines: str) -> None:
    """Tell systemd the lines, such as `READY=1`; nothing where it does not ask to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # An abstract address is written with `@` for its leading zero.
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)  # a full queue must not hold up the server
        sender.sendto("\n".join(lines).encode(), target)


async def notify_watchdog() -> None:
    """Tell systemd that this process's event loop runs, twice as often as it asks for; or return at once."""
    interval, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not interval.isdecimal() or int(interval) == 0 or pid not in {"", str(os.getpid())}:
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(interval) / MICROSECONDS / 2)
