"""Memory that goes back to the operating system, where the C library lets it: on glibc."""

import ctypes
import gc
import sys
from collections.abc import Mapping

LARGE = 4 * 2**20  # bytes
_TUNABLES = "GLIBC_TUNABLES"
_MMAP_THRESHOLD = -3  # glibc's malloc.h


def release_free_memory() -> None:
    """What nobody refers to any more is collected, and the allocator's free pages are the system's again."""
    gc.collect()
    release_free_pages()


def release_free_pages() -> None:
    """The allocator's free pages are the system's again."""
    _call("malloc_trim", ctypes.c_size_t(0))


def release_large_blocks() -> None:
    """Free pages are the system's again, and from here on every block of LARGE bytes is once it is freed.

    glibc keeps freed blocks of up to 32 MiB for the next one, so weights that are copied a few times, one
    copy after the other, would be held as often. It is for the whole process, and costs a page fault for each
    page that is taken anew: for commands, once the model has run.
    """
    _call("mallopt", _MMAP_THRESHOLD, LARGE)
    release_free_pages()


def with_allocator_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server's process, with settings of glibc's allocator unless it has its own.

    Large blocks are in pages of 2 MiB: freeing takes the system as long for each page, small or huge, and the
    interpreter waits meanwhile, for 0.1 seconds with 520 MB of weights. All threads allocate in one place: of
    what each has for itself, up to 64 MB that are free are never given back.
    """
    return {_TUNABLES: "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1", **environment}


def _call(name: str, *arguments: object) -> None:
    """Calls the C library's function, where it has it: other ones than glibc have none of these."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
    if function is not None:
        function(*arguments)
