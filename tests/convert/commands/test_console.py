import subprocess
import sys
from pathlib import Path

import pytest

from convert.commands.ending import FAILED
from tests.convert.models import checkpoint

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="Linux's device that is always full")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_result_that_cannot_be_printed_is_an_error_in_words(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    source, file = checkpoint(tmp_path / "m.pt"), tmp_path / "m.onnx"
    code = "from convert.commands.export import main; main()"
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, source, file, *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == FAILED
    *_, error, hint = done.stderr.splitlines()
    assert error == "error: cannot print the result: No space left on device"
    assert hint == f"hint: `{file}` itself is written"
    assert file.exists()
