"""What a command sets for its process: before torch is loaded, and once the model has run."""

import ctypes
import os
import sys
from pathlib import Path


def prepare(factory: str | None, allow_pickle: bool) -> None:
    """Threads wait without taking the cores, and the user's own modules are found where they are needed.

    OpenMP's threads wait for each other by turning, which on cores that others use too makes parity six times
    as slow (ResNet-18: 28 s instead of 4.5 s, two exports on two cores). Torch reads it as it loads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if factory is not None or allow_pickle:
        sys.path.insert(0, str(Path.cwd()))  # where `python -m` too would find them


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
