"""Every reader on damaged files, in a process of its own, which a crash would end.

`ADAPTACT_FUZZ=5000 pytest tests/convert/sources/test_fuzz.py` tries so many of each kind, other ones for
another number.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.convert.sources.fuzz import READERS

COUNT = int(os.environ.get("ADAPTACT_FUZZ", "12"))
SECONDS = 240 + COUNT


@pytest.mark.slow
def test_damaged_files_give_a_conversion_error_or_a_model(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.convert.sources.fuzz", str(tmp_path), str(COUNT)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(done.stdout)
    assert set(outcomes) == set(READERS)
    for kind, counts in outcomes.items():
        assert sum(counts.values()) == COUNT
        assert sum(counts.values()) - counts.get("read", 0) > COUNT / 4, kind
