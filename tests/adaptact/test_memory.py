import gc
import platform
import subprocess
import sys
import weakref

import pytest

from adaptact.memory import release_free_memory, release_large_blocks, share_one_arena

pytestmark = pytest.mark.usefixtures("giving_back")

TAKEN_AND_FREED = """
import sys
from pathlib import Path
from adaptact.memory import release_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def take(size):
    return [bytearray(b"x") * size for _ in range(20)]

for _ in range(2):  # the second time, glibc has learned to keep blocks of this size
    blocks = take(2**23)
    del blocks
if sys.argv[1] == "released":
    release_large_blocks()
blocks = take(2**23)
pins = take(2**13)  # above them on the heap
before = resident()
del blocks
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own way")
@pytest.mark.parametrize(("word", "is_released"), [("released", True), ("kept", False)])
def test_large_blocks_that_are_freed_go_back_to_the_system(word: str, is_released: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKEN_AND_FREED, word], capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) > 150e6) is is_released


class Node:
    def __init__(self) -> None:
        self.itself = self


def test_what_nobody_refers_to_is_collected() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Node())
        assert gone() is not None
        release_free_memory()
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["win32", "darwin"])
def test_other_systems_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", name)
    monkeypatch.delattr("ctypes.CDLL")
    release_free_memory()
    release_large_blocks()
    share_one_arena()


IN_A_THREAD = """
import sys, threading
from pathlib import Path
from adaptact.memory import release_free_pages, share_one_arena

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def take_and_free():
    bytearray(2**24)  # from now on, glibc keeps blocks of this size
    blocks = [bytearray(b"x") * 2**20 for _ in range(30)]

if sys.argv[1] == "shared":
    share_one_arena()
before = resident()
thread = threading.Thread(target=take_and_free)
thread.start()
thread.join()
release_free_pages()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own way")
@pytest.mark.parametrize(("word", "is_released"), [("shared", True), ("own", False)])
def test_what_a_thread_freed_goes_back_to_the_system(word: str, is_released: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_THREAD, word], capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) < 15e6) is is_released
