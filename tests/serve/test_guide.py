"""What docs/serving.md says is so."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
from PIL import Image

from serve.cli import format_default
from serve.protocol.binary import MAX_STRINGS
from serve.protocol.compression import FREE_BYTES, RATIO
from serve.protocol.json_text import MAX_VALUES
from serve.rest.errors import STATUS
from serve.settings import Settings
from tests.serve import models
from tests.serve.in_process import Client
from tests.serve.process import ServerProcess

GUIDE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its two first lines."""
    section = GUIDE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_settings_is_the_settings() -> None:
    assert _rows("Settings") == [
        [
            f"`--{name.replace('_', '-')}`",
            f"`ADAPTACT_{name.upper()}`",
            "required" if field.is_required() else f"`{format_default(field)}`",
            field.description,
        ]
        for name, field in Settings.model_fields.items()
    ]


def test_the_table_of_statuses_has_every_status() -> None:
    documented = {int(row[0]) for row in _rows("Errors")}
    assert {int(status) for status in STATUS.values()} | {403, 405, 408, 413, 415, 431} == documented


def test_the_table_of_paths_has_every_path(client: Client) -> None:
    documented: set[tuple[str, str]] = set()
    for row in _rows("Requests"):
        method, path = row[0].strip("`").split()
        for variant in (re.sub(r"\[(.*?)\]", "", path), re.sub(r"\[(.*?)\]", r"\1", path)):
            documented.add((method.lower(), variant))
    described = {
        (method, path)
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    assert documented == described | {("get", "/docs")}


@pytest.mark.parametrize(
    "stated",
    [
        f"at most {MAX_VALUES} values",
        f"at most {MAX_STRINGS} strings",
        f"grow to {FREE_BYTES // 2**20} MiB, and beyond that to {RATIO} times",
    ],
)
def test_the_bounds_are_as_stated(stated: str) -> None:
    assert stated in " ".join(GUIDE.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples are run, with the models that they ask and the image that they send."""
    made = tmp_path_factory.mktemp("guide")
    models.put(made / "models", "digits", models.model(models.DOUBLE))
    models.put(
        made / "models",
        "photos",
        models.model("photos (float[N, 3, 8, 8] x) => (float[N, 192] y) { y = Flatten(x) }"),
    )
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(made / "cat.png")
    return made


@pytest.fixture(scope="module")
def digits(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess("--models", str(folder / "models"), "--shared-memory", "camera_") as started:
        yield started


def _examples(language: str, word: str) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return [block for block in blocks if word in block]


@pytest.mark.slow
@pytest.mark.parametrize("example", _examples("python", "triton"))
def test_the_python_examples_run(digits: ServerProcess, folder: Path, example: str) -> None:
    ran = _ran([sys.executable, "-c", example.replace("localhost:8000", digits.address)], folder)
    assert ran == "[[0. 1. 2.]]\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("example", _examples("sh", "curl"))
def test_the_curl_examples_run(digits: ServerProcess, folder: Path, example: str) -> None:
    commands = example.replace("localhost:8000", digits.address).replace("curl ", "curl --fail-with-body -s ")
    ran = _ran(["sh", "-ec", commands], folder)
    if "0.5" in example:
        answer = orjson.loads(ran)
        rows = answer["predictions"][0] if "predictions" in answer else answer["outputs"][0]["data"]
        assert rows == [0.0, 1.0, 2.0]


def _ran(command: list[str], folder: Path) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
