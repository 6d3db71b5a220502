"""The process that listens: a socket, the application, and a graceful end."""

import gc
import os
import signal
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from serve.engine.errors import ListenError
from serve.rest.http import BoundedHttp

# Clients keep connections open between requests; one that is closed under them costs a failed request.
KEEP_ALIVE_SECONDS = 75


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


def url(listener: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def stop_cleanly_on_signals() -> None:
    """From now on SIGTERM and SIGINT end the process with status 0.

    The web server answers them while it runs, by finishing what it has begun, and then raises them again.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)


def run(app: ASGIApp, listener: socket.socket, stop_grace_seconds: int, log_level: str) -> None:
    """Answer requests until a signal; then finish what runs, for at most so many seconds."""
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=log_level,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=stop_grace_seconds,
    )
    # What is loaded by now stays: the collector need not look at it again and again between requests.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listener])


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
