"""The sockets that listen on the server's ports."""

import os
import socket

from serve.engine.errors import ListenError
from serve.workers.systemd import take_listeners

BACKLOG = 4096
"""So many connections the system completes before they are accepted; it may allow fewer."""


def open_listeners(host: str, port: int, grpc_port: int) -> list[socket.socket]:
    """For HTTP, and unless `grpc_port` is 0 for gRPC; where systemd passes some, those, whatever the address.

    Raises `ListenError`.
    """
    if passed := take_listeners(with_grpc=grpc_port != 0):
        return passed
    http = listen(host, port)
    if not grpc_port:
        return [http]
    try:
        return [http, listen(host, grpc_port)]
    except ListenError:
        http.close()
        raise


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises `ListenError` if that is taken, unknown or not allowed."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        # An unresolved name has error numbers of its own; to other texts Python adds the address again.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(f"cannot listen on `{host}` port `{port}`: {reason}") from error


def format_url(listener: socket.socket, scheme: str = "http") -> str:
    """The server's URL for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
