import json
import subprocess
import sys
from pathlib import Path

from tests.convert.sources.files import KINDS

COUNT = 100
SECONDS = 240


def test_damaged_files_of_every_kind_give_an_error_of_ours_or_a_model(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.convert.sources.fuzz", str(tmp_path), str(COUNT)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(done.stdout)
    assert set(outcomes) == set(KINDS)
    for kind, counts in outcomes.items():
        assert sum(counts.values()) == COUNT
        assert counts.get("SourceError", 0) > COUNT / 4, kind
