"""The gRPC server on a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from serve.grpc.server import GrpcOptions, GrpcServer
from serve.observe.log_settings import install_log_filter
from serve.shared.worker_group import WorkerGroup
from tests.serve.conftest import options

LIMIT_BYTES = 2**20


class Running:
    """An engine and its door; what is asked of the engine is asked on its own event loop."""

    def __init__(self, engine: Engine, server: GrpcServer, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.server = server
        self._loop = loop

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def on_loop(self, awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(30)


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[Running]:
    """The server on this folder, with changes of its options; `engine_` before one says of the engine."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    of_engine = {
        name.removeprefix("engine_"): each for name, each in changes.items() if name.startswith("engine_")
    }
    of_door = {name: each for name, each in changes.items() if not name.startswith("engine_")}
    engine = open_engine(options(folder, **of_engine), Metrics(CollectorRegistry()))
    colleagues = WorkerGroup()
    install_log_filter(logging.getLogger("adaptact"), colleagues)
    own = {"host": "127.0.0.1", "port": 0, "message_limit_bytes": LIMIT_BYTES, "colleagues": colleagues}
    chosen = GrpcOptions(**{**own, **of_door})
    found = Running(engine, GrpcServer(engine, chosen), loop)
    try:
        found.on_loop(found.server.start())
        yield found
    finally:
        found.on_loop(found.server.stop(0))
        engine.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
