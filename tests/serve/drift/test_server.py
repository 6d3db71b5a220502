from pathlib import Path

import httpx
import pytest

from tests.serve.drift import files
from tests.serve.drift.files import NET, draw
from tests.serve.process import ServerProcess


@pytest.mark.slow
def test_a_server_watches_files_with_a_baseline(tmp_path: Path) -> None:
    files.put(tmp_path / "models", NET, draw(200))
    with ServerProcess("--models", str(tmp_path / "models"), "--workers", "2") as server:
        answer = httpx.post(server.url + "/v1/models/net:predict", json={"instances": [[1, 2]]})
        assert answer.status_code == 200
        [summary] = httpx.get(server.url + "/adaptact/v1/drift").json()["models"]
        assert (summary["model"], summary["verdict"], summary["baseline_rows"]) == ("net", "waiting", 200)
        assert "adaptact_drift_rows_total{" in httpx.get(server.url + "/metrics").text
        server.stop()
