"""docs/docker.md against what it speaks of."""

import re

import pytest

from serve.settings import PREFIX, Settings
from tests.docker.compose import required, services, variables
from tests.docker.paths import COMPOSE, GRPC, GUIDE, ROOT, SECURED, project

TEXT = GUIDE.read_text(encoding="utf-8")
DEFAULTS = variables(COMPOSE) | variables(GRPC) | variables(SECURED)
WRITTEN_BY_THE_READER = {"docker/.env", "docker/server.env"}


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_every_compose_variable_has_its_default(name: str, default: str) -> None:
    assert f"| `{name}` | `{default}` |" in TEXT


@pytest.mark.parametrize("name", sorted(required(SECURED)))
def test_a_variable_that_must_be_given_stands_as_required(name: str) -> None:
    assert f"| `{name}` | required |" in TEXT


def test_every_variable_that_is_spoken_of_exists() -> None:
    spoken_of = set(re.findall(rf"{PREFIX}\w+", TEXT))
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert spoken_of <= settings | DEFAULTS.keys() | required(SECURED)


def test_every_file_that_is_spoken_of_exists() -> None:
    spoken_of = set(re.findall(r"docker/[\w.-]*\w", TEXT)) - WRITTEN_BY_THE_READER
    linked = {f"docs/{name}" for name in re.findall(r"\]\(([\w/.-]+)\)", TEXT)}
    assert [name for name in sorted(spoken_of | linked) if not (ROOT / name).exists()] == []


def test_every_published_port_is_the_one_that_is_asked_for() -> None:
    asked_for = set(re.findall(r"http://127\.0\.0\.1:(\d+)", TEXT))
    assert asked_for == {str(service["ports"][0]["published"]) for service in services(COMPOSE).values()}


def test_every_command_of_the_image_is_one_of_the_package() -> None:
    commands = re.findall(r"--entrypoint (\S+)", TEXT)
    assert "adaptact-key" in commands
    assert set(commands) <= project()["scripts"].keys()
