"""The gRPC server on a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from serve.grpc.server import GrpcOptions, GrpcServer
from serve.observe.log_settings import install_log_filter
from serve.shared.worker_group import WorkerGroup
from tests.serve.conftest import options
from tests.waiting import SECONDS

LIMIT_BYTES = 2**20


class Running:
    """An engine and its gRPC server; `on_loop` runs coroutines on the engine's event loop."""

    def __init__(self, engine: Engine, server: GrpcServer, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.server = server
        self.address = ""
        self._loop = loop

    async def listen(self) -> asyncio.Server:
        """Give the server the connections to `address`."""
        await self.server.start()
        make = partial(self.server.make_connection, lambda: None)
        listening = await self._loop.create_server(make, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        return listening

    def on_loop(self, awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(SECONDS)


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[Running]:
    """The server on this folder, with these options; those that begin with `engine_` are the engine's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    prefix = "engine_"
    engine_options = {
        name.removeprefix(prefix): value for name, value in changes.items() if name.startswith(prefix)
    }
    server_options = {name: value for name, value in changes.items() if not name.startswith(prefix)}
    engine = open_engine(options(folder, **engine_options), Metrics(CollectorRegistry()))
    workers = WorkerGroup()
    install_log_filter(logging.getLogger("adaptact"), workers)
    defaults = {"message_limit_bytes": LIMIT_BYTES, "workers": workers}
    server = GrpcServer(engine, GrpcOptions(**{**defaults, **server_options}))
    started = Running(engine, server, loop)
    try:
        listening = started.on_loop(started.listen())
        yield started
    finally:
        loop.call_soon_threadsafe(listening.close)
        started.on_loop(server.stop(0))
        engine.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
