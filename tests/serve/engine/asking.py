"""Requests that are begun in an order, and what becomes of them."""

import asyncio
from collections.abc import Coroutine
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


def asked(engine: Engine, name: str, *rows: Array, **more: Any) -> list["asyncio.Task[Answer]"]:
    """A request for each array, begun in this order."""
    [spec] = engine.model(name).signature.inputs
    asks: list[Coroutine[Any, Any, Answer]] = [
        engine.infer(name, None, {spec.name: each}, **more) for each in rows
    ]
    return [asyncio.ensure_future(each) for each in asks]


async def settled(tasks: list["asyncio.Task[Answer]"]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def until_runs(engine: Engine, waiting: int = 0) -> None:
    """Wait until all that was asked of the engine's only model runs, but for so many that wait."""

    def runs() -> bool:
        return engine.own_statistics()[0].waiting == waiting and engine.pending() > waiting

    await asyncio.to_thread(until, runs)


async def behind(engine: Engine, gate: Gate, name: str, *rows: Array, **more: Any) -> list[Any]:
    """What becomes of requests that came while another one ran, the first of them all in front."""
    front = asked(engine, name, rows[0])
    await asyncio.to_thread(gate.wait_for_a_run)
    rest = asked(engine, name, *rows[1:], **more)
    await asyncio.sleep(0)
    gate.open()
    return await settled(front + rest)
