"""Threads that read and write long bodies: what takes milliseconds does not run on the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# They share one interpreter, so that more would end no sooner, and take more memory.
# Not a semaphore: a request whose client went away would release its place, and go on.
LONG_BODIES = ThreadPoolExecutor(2, "adaptact-bodies")


async def run_long(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """What the function returns; it lets other threads run once in a while."""
    call = LONG_BODIES.submit(function, *arguments, **options)
    try:
        return await asyncio.wrap_future(call)
    finally:
        # An error refers to this frame: without this they and the body stay until garbage is collected.
        del call
