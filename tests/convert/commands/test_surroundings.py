import os
import subprocess
import sys
from pathlib import Path

import pytest

from convert.commands.surroundings import prepare

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
