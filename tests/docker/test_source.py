"""The file that lets the compose file's services take their models from a bucket or a registry."""

from pathlib import Path

import pytest

from tests.docker.compose import required, services
from tests.docker.paths import COMPOSE, DOCKER
from tests.docker.test_compose import validate

SOURCE = DOCKER / "source.yaml"


def test_the_file_is_valid_and_asks_for_the_source_alone() -> None:
    judged = validate(SOURCE)
    assert judged.exit_code == 0, judged.output
    assert required(SOURCE) == {"ADAPTACT_SOURCE"}


@pytest.mark.parametrize("name", services(COMPOSE))
def test_the_copy_lies_in_a_volume_and_the_folder_of_models_is_not_needed(name: str) -> None:
    service = services(SOURCE)[name]
    folder, copy = service["volumes"]
    assert (folder["type"], folder["target"]) == ("tmpfs", services(COMPOSE)[name]["volumes"][0]["target"])
    assert Path(service["environment"]["ADAPTACT_MODELS"]).parent == Path(copy["target"])
    assert copy["type"] == "volume"


def test_no_secret_has_a_value_in_the_file() -> None:
    environment = services(SOURCE)["adaptact"]["environment"]
    secrets = [name for name in environment if "SECRET" in name or "TOKEN" in name or "PASSWORD" in name]
    assert secrets
    assert all(environment[name] is None for name in secrets)
