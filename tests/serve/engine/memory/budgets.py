"""Models that count as equally large, and how they are asked for."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from serve.engine import Engine
from serve.engine.memory.amounts import LEAST
from serve.engine.memory.options import MemoryOptions
from tests.serve.engine.repositories import ROW, put_scaling_model

TWO = MemoryOptions(int(2.9 * LEAST))
"""Room for two models, each of which counts as LEAST bytes."""


def put_models(folder: Path, count: int) -> None:
    for number in range(count):
        put_scaling_model(folder, float(number), name=f"m{number}")


async def ask(engine: Engine, name: str, version: str | None = None) -> float:
    model = engine.memory.find(name, version) or await engine.memory.bring(name, version)
    return float((await engine.run(model, {"x": ROW}))["y"][0, 0])


def run(*calls: Awaitable[Any]) -> list[Any]:
    async def gather() -> list[Any]:
        return await asyncio.gather(*calls)

    return asyncio.run(gather())
