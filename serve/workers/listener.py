"""The socket that listens on the server's port."""

import os
import socket

from serve.engine.errors import ListenError

BACKLOG = 4096
"""So many connections the system completes before they are accepted; it may allow fewer."""


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
