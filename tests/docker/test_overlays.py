"""The files that add gRPC, keys and TLS to the compose file's services."""

from pathlib import Path
from typing import Any

import pytest

from serve.settings import PREFIX, Settings
from tests.docker.compose import services
from tests.docker.paths import COMPOSE, GRPC, SECURED
from tests.docker.test_compose import validate

BASE = services(COMPOSE)
each_overlay = pytest.mark.parametrize("path", [GRPC, SECURED], ids=lambda path: path.stem)
each_server = pytest.mark.parametrize("name", BASE)


def settings_of(service: dict[str, Any]) -> dict[str, Any]:
    """The server's settings that the service is given."""
    return {key.removeprefix(PREFIX).lower(): value for key, value in service["environment"].items()}


@each_overlay
def test_the_file_is_valid_and_speaks_of_every_server(path: Path) -> None:
    judged = validate(path)
    assert judged.exit_code == 0, judged.output
    assert services(path).keys() == BASE.keys()


@each_overlay
@each_server
def test_nothing_but_settings_ports_and_mounts_is_added(path: Path, name: str) -> None:
    assert services(path)[name].keys() <= {"environment", "ports", "volumes"}
    assert settings_of(services(path)[name]).keys() <= Settings.model_fields.keys()


@each_server
def test_grpc_is_published_on_loopback(name: str) -> None:
    service = services(GRPC)[name]
    (port,) = service["ports"]
    assert port["host_ip"] == "127.0.0.1"
    assert port["target"] == settings_of(service)["grpc_port"]


def test_no_two_ports_of_the_host_are_the_same() -> None:
    every = [*BASE.values(), *services(GRPC).values()]
    published = [str(port["published"]) for service in every for port in service["ports"]]
    assert len(set(published)) == len(published)


@each_server
def test_keys_and_certificate_are_mounted_read_only(name: str) -> None:
    service = services(SECURED)[name]
    (mount,) = service["volumes"]
    assert mount["read_only"] is True
    assert mount["bind"] == {"create_host_path": False}
    assert mount["target"] not in {volume["target"] for volume in BASE[name]["volumes"]}
    given = settings_of(service)
    assert given.keys() == {"keys", "tls_certificate", "tls_key"}
    assert all(Path(file).parent == Path(mount["target"]) for file in given.values())
