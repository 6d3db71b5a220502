import json
from pathlib import Path

import httpx
import pytest

from serve.engine.errors import StartupError
from serve.sources.options import SourceOptions
from serve.workers import first_copy
from serve.workers.first_copy import bring_models
from tests.serve import models
from tests.serve.process import ServerProcess
from tests.serve.sources.doubles import sha256
from tests.serve.sources.scripted import Answer, ScriptedServer, run_scripted
from tests.waiting import until

MANIFEST = "/v2/plant/models/manifests/stable"


def release(registry: ScriptedServer, *versions: str) -> None:
    """The registry's artefact `plant/models:stable` has these versions of one model."""
    content = models.model(models.DOUBLE).SerializeToString()
    digest = f"sha256:{sha256(content)}"
    layers = [
        {
            "digest": digest,
            "size": len(content),
            "annotations": {"org.opencontainers.image.title": f"double/{version}/model.onnx"},
        }
        for version in versions
    ]
    registry.answers[f"/v2/plant/models/blobs/{digest}"] = Answer(content)
    registry.answers[MANIFEST] = Answer(json.dumps({"layers": layers}).encode())


@pytest.mark.slow
def test_a_server_serves_what_its_source_has_and_goes_on_without_it(tmp_path: Path) -> None:
    with run_scripted() as registry:
        release(registry, "1")
        source = f"oci://{registry.address}/plant/models:stable"
        options = ("--models", str(tmp_path), "--source", source, "--source-seconds", "1", "--workers", "2")
        with ServerProcess(*options) as server:

            def versions() -> list[str]:
                answer: list[str] = httpx.get(f"{server.url}/v2/models/double").json()["versions"]
                return answer

            def series(name: str) -> str:
                text = httpx.get(f"{server.url}/metrics").text
                return next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} "))

            assert versions() == ["1"]
            release(registry, "1", "2")
            until(lambda: versions() == ["1", "2"])
            release(registry, "1")  # the tag goes back
            until(lambda: not (tmp_path / "double/2").exists())  # the other worker may answer as before
            until(lambda: versions() == ["1"])
            size = len(models.model(models.DOUBLE).SerializeToString())
            assert float(series("adaptact_source_bytes_total")) == 2 * size
            assert float(series("adaptact_source_up")) == 1
            registry.answers.clear()
            until(lambda: float(series("adaptact_source_up")) == 0)
            until(lambda: versions() == ["1"])  # of whichever worker answers
            server.stop()


@pytest.mark.slow
def test_a_start_without_the_source_needs_a_copy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with run_scripted() as registry:
        release(registry, "1")
        url = f"oci://{registry.address}/plant/models:stable"
        options = SourceOptions(url, tmp_path / "copy")
        bring_models(options, lambda: None)
    bring_models(options, lambda: None)
    [message] = [record.message for record in caplog.records if record.name == "adaptact"]
    assert "does not answer" in message
    assert "is served, which is of 2" in message
    with pytest.raises(StartupError, match=r"no model from `.*`: .*does not answer"):
        bring_models(SourceOptions(url, tmp_path / "other"), lambda: None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.onnx").touch()
    with pytest.raises(StartupError, match="holds other files"):
        bring_models(SourceOptions(url, tmp_path / "mine"), lambda: None)


@pytest.mark.slow
def test_a_start_with_a_copy_does_not_wait_for_a_source_that_hangs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.put(tmp_path / "copy", "double", models.model(models.DOUBLE))
    (tmp_path / "copy/.source").mkdir()
    monkeypatch.setattr(first_copy, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(first_copy, "START_SECONDS", 0.05)
    monkeypatch.setattr(first_copy, "COMMAND", ("sh", "-c", "exec sleep 1000", "--"))
    waits: list[None] = []
    bring_models(SourceOptions("s3://models", tmp_path / "copy"), lambda: waits.append(None))
    assert "it could not be read in" in caplog.text
    assert waits
