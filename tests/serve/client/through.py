"""A question asked through one client or the other."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from serve.client import AsyncClient, Client, Retry

QUICK = Retry(attempts=3, first_seconds=0.01)
Ask = Callable[[Any], Any]


def waiting(url: str, ask: Ask, **options: Any) -> Any:
    with Client(url, **{"retry": QUICK, **options}) as client:
        return ask(client)


def awaiting(url: str, ask: Ask, **options: Any) -> Any:
    async def talk() -> Any:
        async with AsyncClient(url, **{"retry": QUICK, **options}) as client:
            return await ask(client)

    return asyncio.run(talk())


both = pytest.mark.parametrize("through", [waiting, awaiting])
Through = Callable[..., Any]
