"""What docs/serving.md says is so."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Metrics
from serve.protocol.text import MAX_VALUES
from serve.rest.errors import STATUS
from serve.settings import Settings
from tests.serve import models
from tests.serve.client import Client
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
            "required" if field.is_required() else f"`{field.default}`",
            field.description,
        ]
        for name, field in Settings.model_fields.items()
    ]


def test_the_table_of_statuses_has_every_status() -> None:
    documented = {int(row[0]) for row in _rows("Errors")}
    assert {int(status) for status in STATUS.values()} | {405, 413, 415} == documented


def test_the_table_of_metrics_has_every_series() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    series = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    assert {row[0].strip("`") for row in _rows("Metrics")} == series


def test_the_table_of_paths_has_every_path(client: Client) -> None:
    documented: set[tuple[str, str]] = set()
    for row in _rows("Asking"):
        method, path = row[0].strip("`").split()
        for variant in (re.sub(r"\[(.*?)\]", "", path), re.sub(r"\[(.*?)\]", r"\1", path)):
            documented.add((method.lower(), variant))
    described = {
        (method, path)
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    assert documented == described | {("get", "/docs")}


def test_the_bound_on_values_is_as_stated() -> None:
    assert f"at most {MAX_VALUES} values" in GUIDE


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The model that the examples ask."""
    folder = tmp_path_factory.mktemp("guide")
    models.put(folder, "digits", models.model(models.DOUBLE))
    with ServerProcess("--models", str(folder)) as started:
        yield started


def _examples(language: str, word: str) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return [block for block in blocks if word in block]


@pytest.mark.parametrize("example", _examples("python", "triton"))
def test_the_python_examples_run(digits: ServerProcess, example: str) -> None:
    ran = _ran([sys.executable, "-c", example.replace("localhost:8000", digits.address)])
    assert ran == "[[0. 1. 2.]]\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("example", _examples("sh", "curl"))
def test_the_curl_examples_run(digits: ServerProcess, example: str) -> None:
    answer = orjson.loads(_ran(["sh", "-c", example.replace("localhost:8000", digits.address)]))
    rows = answer["predictions"][0] if "predictions" in answer else answer["outputs"][0]["data"]
    assert rows == [0.0, 1.0, 2.0]


def _ran(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
