import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from convert.commands.environment import prepare

WHEN_PREPARED = """
import sys
from convert.commands import {command} as command

def prepared(factory, allow_pickle):
    print(factory, allow_pickle, "torch" in sys.modules)
    sys.exit()

command.prepare = prepared
sys.argv = ["adaptact", "m.pt", "m.onnx", "--factory", "own:net", "--allow-pickle"]
command.main()
"""


@pytest.mark.parametrize("command", ["export", "verify"])
def test_it_is_prepared_for_the_users_code_before_torch_is_loaded(command: str) -> None:
    code = WHEN_PREPARED.format(command=command)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "own:net True False\n"


@pytest.mark.parametrize(
    ("factory", "allow_pickle", "found"), [(None, False, False), ("own:net", False, True), (None, True, True)]
)
def test_own_modules_are_found_where_they_are_needed(
    factory: str | None, allow_pickle: bool, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    prepare(factory, allow_pickle)
    assert (str(tmp_path) in sys.path) is found


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_passively_unless_the_user_says_otherwise(
    given: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    prepare(None, False)
    assert os.environ["OMP_WAIT_POLICY"] == kept


TAKEN_AND_FREED = """
import ctypes, sys
from pathlib import Path
import numpy as np
from convert.commands.environment import give_back

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
