"""docs/docker.md against what it speaks of."""

import re

import pytest

from serve.settings import PREFIX, Settings
from tests.docker.compose import services, variables
from tests.docker.paths import COMPOSE, GUIDE, ROOT

TEXT = GUIDE.read_text(encoding="utf-8")
WRITTEN_BY_THE_READER = {"docker/.env", "docker/server.env"}


@pytest.mark.parametrize(("name", "default"), variables(COMPOSE).items())
def test_every_variable_of_the_compose_file_stands_with_its_default(name: str, default: str) -> None:
    assert f"| `{name}` | `{default}` |" in TEXT


def test_every_variable_that_is_spoken_of_exists() -> None:
    spoken_of = set(re.findall(rf"{PREFIX}\w+", TEXT))
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert spoken_of <= settings | variables(COMPOSE).keys()


def test_every_file_that_is_spoken_of_exists() -> None:
    spoken_of = set(re.findall(r"docker/[\w.-]*\w", TEXT)) - WRITTEN_BY_THE_READER
    linked = {f"docs/{name}" for name in re.findall(r"\]\(([\w/.-]+)\)", TEXT)}
    assert [name for name in sorted(spoken_of | linked) if not (ROOT / name).exists()] == []


def test_every_published_port_is_the_one_that_is_asked_for() -> None:
    asked_for = set(re.findall(r"http://127\.0\.0\.1:(\d+)", TEXT))
    assert asked_for == {str(service["ports"][0]["published"]) for service in services(COMPOSE).values()}
