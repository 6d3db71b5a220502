from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.sources.options import SourceOptions
from tests.serve.sources.doubles import MemorySource, Mirrored
from tests.serve.sources.scripted import ScriptedServer, run_scripted


@pytest.fixture
def mirrored(tmp_path: Path) -> Mirrored:
    files = {"digits/1/model.onnx": b"one", "digits/2/model.onnx": b"two", "digits/config.toml": b"# none"}
    return Mirrored(MemorySource(files), SourceOptions("s3://models", tmp_path / "copy"))


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("TOKEN", "USERNAME", "PASSWORD", "SERVER_CERT_PATH"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    with run_scripted() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{server.address}")
        yield server
