"""Requests that are started in an order, and their answers or errors."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from serve.engine import Engine
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.engine.gate import Gate
from tests.waiting import until

ROW = np.array([[1, 2, 3]], np.float32)
Answer = dict[str, Array]


def put(folder: Path, *texts: str) -> None:
    for text in texts:
        models.put(folder, text.split(" ")[0], models.model(text))


def start_requests(engine: Engine, name: str, *rows: Array, **more: Any) -> list["asyncio.Task[Answer]"]:
    """A request for each array, started in this order."""
    model = engine.model(name)
    [spec] = model.signature.inputs
    return [asyncio.ensure_future(engine.run(model, {spec.name: array}, **more)) for array in rows]


async def collect(tasks: list["asyncio.Task[Answer]"]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def wait_until_running(engine: Engine, waiting: int = 0) -> None:
    """Wait until the requests of the engine's only model run, but for so many that wait."""

    def is_running() -> bool:
        return list(engine.queue_depths().values()) == [waiting] and engine.count_pending() > waiting

    await asyncio.to_thread(until, is_running)


async def run_behind(engine: Engine, gate: Gate, name: str, *rows: Array, **more: Any) -> list[Any]:
    """The answers or errors of requests that came while the first one ran, in their order."""
    front = start_requests(engine, name, rows[0])
    await asyncio.to_thread(gate.wait_for_a_run)
    rest = start_requests(engine, name, *rows[1:], **more)
    await asyncio.sleep(0)
    gate.open()
    return await collect(front + rest)
