"""Memory back to the operating system, after a model is gone."""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress


def give_back() -> None:
    """Free what nobody refers to any more, and hand the allocator's free pages back."""
    gc.collect()
    # glibc keeps what was freed in small pieces; other C libraries have no such call.
    with suppress(OSError, AttributeError):
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        trim(0)
