"""The command and the server as processes of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.serve.client.experiments.test_command import DOCUMENT
from tests.serve.process import ServerProcess
from tests.serve.rollout.variants import put_variants

RUN = [sys.executable, "-c", "from serve.client.experiments.command import main; main()"]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_experiment_of_a_real_server(tmp_path: Path) -> None:
    put_variants(tmp_path / "models")
    definitions, outcomes = tmp_path / "experiments.yaml", tmp_path / "outcomes.csv"
    definitions.write_text(yaml.safe_dump({"experiments": [DOCUMENT]}))
    outcomes.write_text("unit,metric,value\n" + "".join(f"{n},bought,{n % 2}\n" for n in range(12_000)))
    arguments = ("--models", str(tmp_path / "models"), "--experiments-store", str(tmp_path / "store"))
    with ServerProcess(*arguments) as server:

        def ask(*arguments: object) -> Any:
            done = command(*arguments, "--url", server.url, "--json")
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        ask("define", definitions)
        alias = f"{server.url}/adaptact/v1/models/digits/aliases/stable"
        httpx.put(alias, json={"version": "1"}).raise_for_status()
        assert ask("start", "exp", "--reason", "to see")["phase"]["stage"] == "ramp"
        assert ask("feedback", outcomes) == {
            "new": 12_000,
            "duplicate": 0,
            "refused": 0,
            "reasons": [],
            "unmatched": 0,
            "unknown": 0,
            "unknown_metrics": [],
        }
        page = tmp_path / "report.html"
        assert command("report", "exp", "-o", page, "--url", server.url).returncode == 0
        assert "to see" in page.read_text(encoding="utf-8")
        copied = command("backup", tmp_path / "copy.db", "--experiments-store", tmp_path / "store", "--json")
        assert json.loads(copied.stdout)["rows"]["outcomes"] == 12_000
    done = command("list", "--url", server.url, "--timeout", 1)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr or "did not answer" in done.stderr
