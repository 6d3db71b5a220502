"""What is done to a server whose models come from elsewhere; a drill that fails raises AssertionError."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import onnx

from tests.docker.paths import ROOT
from tests.docs.page import Block, read_blocks
from tests.sources.copying import kill_at_work, list_very_many, measure_look, share_folder
from tests.sources.rows import Row, put_models
from tests.sources.servers import (
    OurServer,
    Program,
    make_mlflow,
    make_moto,
    make_rclone,
    make_registry,
    run_shell,
    running,
)
from tests.waiting import until

PAGE = ROOT / "docs" / "sources.md"
ORAS = """
import oras.client
client = oras.client.OrasClient(insecure=True)
notes = {name: {"org.opencontainers.image.title": name} for name in %(files)r}
import json, pathlib
pathlib.Path("notes.json").write_text(json.dumps(notes))
client.push(target=%(target)r, files=[f"{name}:application/vnd.onnx" for name in %(files)r],
            annotation_file="notes.json", disable_path_validation=True)
"""


def find_block(word: str) -> Block:
    """The page's block with this word in it."""
    return next(block for block in read_blocks(PAGE) if word in block.code)


def follow_bucket(folder: Path, program: Program, name: str) -> Iterator[Row]:
    """The documented commands, then everything that may happen to a bucket."""
    push = find_block("aws s3 cp").code
    put_models(folder)
    server = OurServer(folder, "s3://models/plant", program.environment)
    with running(program):
        run_shell(f"aws s3 mb s3://models\n{push}", folder, program.environment)
        with running(server, path="/v2/health/ready"):
            assert server.predict() == [2, 4, 6]
            yield Row(f"{name}: documented commands, then `--source s3://…`", "version 1 answers")
            began = time.monotonic()
            run_shell(push.replace("plant/digits/1", "plant/digits/2"), folder, program.environment)
            until(lambda: server.versions() == ["1", "2"])
            yield Row(
                f"{name}: version 2 is put there",
                f"it serves {time.monotonic() - began:.0f} s after the first byte was sent",
            )
            _replace(folder)
            before = server.series("adaptact_source_bytes_total")
            run_shell(push, folder, program.environment)
            until(lambda: server.series("adaptact_source_bytes_total") > before)
            yield Row(f"{name}: version 1 is replaced in place", "it is fetched again, as a whole")
            run_shell("aws s3 rm --recursive s3://models/plant/digits/2", folder, program.environment)
            until(lambda: server.versions() == ["1"])
            yield Row(f"{name}: version 2 is removed", "it is removed here")
            run_shell(
                "echo evil | aws s3 cp - s3://models/plant/digits/1/model.onnx", folder, program.environment
            )
            until(lambda: server.series("adaptact_source_refused") == 1)
            assert server.predict() == [2, 4, 6]
            yield Row(
                f"{name}: a file is changed, and `SHA256SUMS` is not", "refused; what was there answers"
            )
            program.stop()
            until(lambda: server.series("adaptact_source_up") == 0)
            assert server.predict() == [2, 4, 6]
            yield Row(f"{name}: the bucket is away", "`adaptact_source_up` is 0, and all answers go on")
        with running(server, path="/v2/health/ready"):
            assert server.predict() == [2, 4, 6]
            yield Row(f"{name}: restarted while the bucket is away", "the copy answers, and the log warns")
        shutil.rmtree(folder / "copy")
        done = subprocess.run(
            server.command,
            env={**os.environ, **program.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "no model from `s3://models/plant`" in done.stderr
        yield Row(f"{name}: started while it is away, without a copy", "exit status 1, with the reason")


def _replace(folder: Path) -> None:
    path = folder / "models" / "digits" / "1" / "model.onnx"
    model = onnx.load(path)
    model.doc_string = "another"
    onnx.save(model, path)


def follow_registry(folder: Path) -> Iterator[Row]:
    """Files pushed by the client of ORAS; a tag that moves on and back."""
    registry = make_registry(folder)
    put_models(folder)
    shutil.copytree(folder / "models/digits/1", folder / "models/digits/2")
    address = f"localhost:{registry.port}/plant/models:stable"
    files = ["digits/1/model.onnx", "digits/config.toml"]

    def push(names: list[str]) -> None:
        run_shell(ORAS % {"files": names, "target": address}, folder / "models", {}, language="python")

    server = OurServer(folder, f"oci://{address}", {"DOCKER_CONFIG": str(folder)}, "--source-digests")
    with running(registry):
        push(files)
        with running(server, path="/v2/health/ready"):
            assert server.predict() == [2, 4, 6]
            push([*files, "digits/2/model.onnx"])
            until(lambda: server.versions() == ["1", "2"])
            yield Row("docker-registry: a tag moves to an artefact with version 2", "it serves")
            push(files)
            until(lambda: server.versions() == ["1"])
            yield Row("docker-registry: the tag moves back", "version 2 is removed")
            registry.stop()
            until(lambda: server.series("adaptact_source_up") == 0)
            assert server.predict() == [2, 4, 6]
            yield Row("docker-registry: the registry is away", "all answers go on")


def follow_mlflow(folder: Path) -> Iterator[Row]:
    """The documented code; an alias that moves on and back."""
    registry = make_mlflow(folder)
    put_models(folder)
    log = find_block("mlflow.onnx.log_model").code
    server = OurServer(folder, "models:/digits@champion", registry.environment)
    with running(registry, path="/health"):
        run_shell(log, folder, registry.environment, language="python")
        with running(server, path="/v2/health/ready"):
            assert server.predict() == [2, 4, 6]
            run_shell(log, folder, registry.environment, language="python")
            until(lambda: server.versions() == ["2"])
            yield Row(
                "MLflow: documented code, then once more",
                "the alias's new version serves in the place of the old one",
            )
            back = (
                'import mlflow; mlflow.MlflowClient().set_registered_model_alias("digits", "champion", "1")'
            )
            run_shell(back, folder, registry.environment, language="python")
            until(lambda: server.versions() == ["1"])
            yield Row("MLflow: the alias goes back", "so does the server")
            registry.stop()
            until(lambda: server.series("adaptact_source_up") == 0)
            assert server.predict() == [2, 4, 6]
            yield Row("MLflow: it is away", "all answers go on")


def run_all(folder: Path) -> Iterator[Row]:
    """Every drill, each in a folder of its own."""
    for name, make in (("moto", make_moto), ("rclone", make_rclone)):
        yield from follow_bucket(_make_folder(folder, name), make(folder / name), name)
    yield from follow_registry(_make_folder(folder, "registry"))
    yield from follow_mlflow(_make_folder(folder, "mlflow"))
    yield from kill_at_work(_make_folder(folder, "kill"))
    yield from share_folder(_make_folder(folder, "share"))
    yield from measure_look(_make_folder(folder, "look"))
    yield from list_very_many(_make_folder(folder, "many"))


def _make_folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made
