"""Every operation of the OpenAPI document, asked by schemathesis with what fits it and what does not.

`ADAPTACT_FUZZ=2000 pytest tests/serve/rest/test_schemathesis.py` asks each so many times.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve.access.keys import ROLES, format_key
from tests.serve import models
from tests.serve.process import ServerProcess

COMMAND = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
COUNT = int(os.environ.get("ADAPTACT_FUZZ", "8"))
SECONDS = 120 + 20 * COUNT
OPERATIONS = 30  # at least, so that a document that lost its paths is noticed
SECRET = "a-key-with-every-role"


@pytest.mark.slow
def test_every_answer_is_as_it_is_described(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    for name, text in (("double", models.DOUBLE), ("add_sub", models.ADD_SUB)):
        models.put(folder, name, models.model(text))
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("all", SECRET, frozenset(ROLES)))
    with ServerProcess("--models", str(folder), "--keys", str(keys)) as server:
        ran = _run(server, tmp_path)
        assert ran.returncode == 0, ran.stdout[-6000:]
        tested = re.search(r"Tested: (\d+)", ran.stdout)
        assert tested is not None
        assert int(tested[1]) >= OPERATIONS
        assert server.stop() == 0


def _run(server: ServerProcess, folder: Path) -> subprocess.CompletedProcess[str]:
    options = {
        "--max-examples": str(COUNT),
        "--checks": "all",
        "--seed": str(COUNT),
        "--header": f"Authorization: Bearer {SECRET}",
    }
    command = [str(COMMAND), "--config-file", str(CONFIG), "run", f"{server.url}/openapi.json", "--no-shrink"]
    command += [part for option in options.items() for part in option]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
