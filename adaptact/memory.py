"""Memory that goes back to the operating system, where the C library lets it: on glibc."""

import ctypes
import gc
import sys

LARGE = 4 * 2**20  # bytes
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # glibc's malloc.h


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


def share_one_arena() -> None:
    """From here on all threads allocate in one place, where free pages can be given back.

    Of what each thread has for itself, up to 64 MB that are free are the system's only once the process ends.
    """
    _call("mallopt", _ARENA_MAX, 1)


def _call(name: str, *arguments: object) -> None:
    """Calls the C library's function, where it has it: other ones than glibc have none of these."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
    if function is not None:
        function(*arguments)
