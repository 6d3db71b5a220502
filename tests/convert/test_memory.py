import platform
import subprocess
import sys

import pytest

TAKEN_AND_FREED = """
import ctypes, sys
from pathlib import Path
import numpy as np
from convert.memory import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

for _ in range(2):  # the second time, glibc has learned to keep blocks of this size
    blocks = [np.ones(2**20) for _ in range(20)]
    del blocks
if sys.argv[1] == "given back":
    give_back()
blocks = [np.ones(2**20) for _ in range(20)]
pins = [np.ones(2**10) for _ in range(20)]  # above them on the heap
before = resident()
del blocks
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own way")
@pytest.mark.parametrize(("what", "given_back"), [("given back", True), ("kept", False)])
def test_large_blocks_that_are_freed_go_back_to_the_system(what: str, given_back: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKEN_AND_FREED, what], capture_output=True, text=True, check=True, timeout=60
    )
    assert (int(done.stdout) > 150e6) is given_back
