"""docs/experiments.md: it names every command and every route, and its commands are commands."""

import re
from typing import Any

import pytest
import typer

from serve.client.experiments.command import app
from serve.rest.access import right_for
from tests.serve.client.experiments.conftest import Served
from tests.serve.pages import read_first_cells, read_page

PAGE = read_page("experiments")
COMMANDS: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
ROUTES = re.findall(r"^\| `(\w+) (/[^`]*)`", PAGE, re.MULTILINE)


def test_every_command_has_its_row() -> None:
    assert set(read_first_cells("experiments")) == set(COMMANDS)


def test_every_line_for_a_shell_is_a_command_with_its_options() -> None:
    lines = re.findall(r"^ *adaptact experiment (\w+)(.*)$", PAGE, re.MULTILINE)
    assert len(lines) >= 8
    for name, rest in lines:
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(re.findall(r"\s(--[a-z-]+)", rest)) <= known


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"backup", "restore", "samples"}))
def test_the_role_of_each_command_is_as_stated(command: str) -> None:
    stated = read_first_cells("experiments")[command].rpartition("|")[2].strip()
    prefix = "/adaptact/v1"
    asked = {
        "list": ("GET", f"{prefix}/experiments"),
        "show": ("GET", f"{prefix}/experiments/e/results"),
        "plan": ("POST", f"{prefix}/experiments:plan"),
        "define": ("PUT", f"{prefix}/experiments/e"),
        "report": ("GET", f"{prefix}/experiments/e/looks"),
        "feedback": ("POST", f"{prefix}/feedback:bulk"),
    }
    assert right_for(*asked.get(command, ("POST", f"{prefix}/experiments/e:{command}"))) == stated


def test_every_route_has_its_row(kept: Served) -> None:
    document: dict[str, Any] = kept.client._http.get("http://server/openapi.json").json()
    found = {
        (method.upper(), path.removeprefix("/adaptact/v1").replace(":no_colon", ""))
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith(("/adaptact/v1/experiments", "/adaptact/v1/feedback"))
    }
    acts = {route for route in found if re.search(r"\{name\}:", route[1])}
    assert len(acts) == 6
    assert (found - acts) | {("POST", "/experiments/{name}:{act}")} == set(ROUTES)
