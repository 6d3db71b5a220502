import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adaptact.exit_codes import FAILED, PARITY_FAILED, WRONG_USE, exit_code
from convert.commands.entry_point import EXIT_CODES, prepare
from convert.errors import (
    ConversionError,
    DestinationError,
    ExportError,
    ParityError,
    PrecisionError,
    SignatureError,
    SourceError,
    UsageError,
)

ROOT = Path(__file__).parents[3]
EXPECTED_CODES: dict[type[ConversionError], int] = {
    UsageError: WRONG_USE,
    SourceError: FAILED,
    DestinationError: FAILED,
    ExportError: FAILED,
    SignatureError: FAILED,
    ParityError: PARITY_FAILED,
    PrecisionError: PARITY_FAILED,
}
PRINT_WHEN_PREPARED = """
import sys
from convert.commands import {command} as command

def prepare():
    print("torch" in sys.modules)
    sys.exit()

command.prepare = prepare
sys.argv = ["adaptact", "m.pt", "m.onnx", "--factory", "own:net", "--allow-pickle"]
command.main()
"""


@pytest.mark.parametrize("error", [*ConversionError.__subclasses__(), *ParityError.__subclasses__()])
def test_every_error_has_its_exit_code(error: type[ConversionError]) -> None:
    assert exit_code(error("why"), EXIT_CODES) == EXPECTED_CODES[error]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "verify"])
def test_a_command_prepares_before_torch_is_loaded(command: str) -> None:
    code = PRINT_WHEN_PREPARED.format(command=command)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("policy", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_passively_by_default(
    policy: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", policy or "")
    if policy is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    prepare()
    assert os.environ["OMP_WAIT_POLICY"] == expected


@pytest.mark.slow
def test_files_of_the_users_folder_take_no_modules_place(tmp_path: Path) -> None:
    for name in ("torch", "random", "serve", "convert", "numpy"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('imported the own {name}')")
    (tmp_path / "own_net.py").write_text("build = 3")
    torch.save({"a": torch.zeros(1)}, tmp_path / "m.pt")
    code = "from convert.commands.export import main; main()"
    options = ("m.pt", "m.onnx", "--factory", "own_net:build", "--input", "x:float32[N]")
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "factory `own_net:build` is not callable, it is a `int`" in done.stderr
    assert done.returncode == WRONG_USE
