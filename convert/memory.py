"""How the process holds its memory: freed weights go back to the system, where the C library lets them."""

import ctypes
import sys

LARGE = 4 * 2**20  # bytes
_MMAP_THRESHOLD = -3  # glibc's malloc.h


def give_back() -> None:
    """What is free has gone back to the system, and from here on every block of LARGE bytes goes once freed.

    glibc keeps freed blocks of up to 32 MiB for the next one, so weights that are copied a few times, one
    copy after the other, would be held as often. It is for the whole process, and costs a page fault for each
    page that is taken anew: for commands, once the model has run. Elsewhere than on glibc nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_MMAP_THRESHOLD, LARGE)
        library.malloc_trim(ctypes.c_size_t(0))
