"""The socket that clients connect to."""

import os
import socket

from serve.engine.errors import ListenError


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises `ListenError` if that is taken, unknown or not allowed."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        # A name that cannot be resolved has its own numbers; for the rest Python adds the address once more.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(f"cannot listen on `{host}` port `{port}`: {reason}") from error


def url(listener: socket.socket, scheme: str = "http") -> str:
    """Where a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
