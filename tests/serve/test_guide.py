"""What docs/serving.md says is so."""

import re
from pathlib import Path

import pytest

from serve.cli import format_default
from serve.protocol.binary import MAX_STRINGS
from serve.protocol.compression import FREE_BYTES, RATIO
from serve.protocol.json_text import MAX_VALUES
from serve.rest.errors import STATUS
from serve.settings import Settings
from tests.serve.in_process import Client

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
    assert documented == described | {("get", "/docs"), ("get", "/console")}


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
