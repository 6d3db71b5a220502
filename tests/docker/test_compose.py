"""The compose file against the compose specification, and against what it starts."""

from pathlib import Path
from typing import Any

import check_jsonschema
import pytest
from click.testing import CliRunner, Result

from serve.settings import Settings
from tests.docker.compose import services, with_defaults
from tests.docker.dockerfile import Dockerfile, Stage
from tests.docker.paths import COMPOSE, DOCKERFILES

SERVICES = services(COMPOSE)

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def validate(path: Path) -> Result:
    """The judgement of the specification's own schema, which check-jsonschema ships unchanged."""
    return CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", "vendor.compose-spec", str(path)])


def dockerfile_of(service: dict[str, Any]) -> Path:
    build: dict[str, str] = service["build"]
    return (COMPOSE.parent / build["context"]).resolve() / build["dockerfile"]


def image_of(service: dict[str, Any]) -> Stage:
    return Dockerfile.read(dockerfile_of(service)).last_stage


def test_the_file_is_valid_with_and_without_its_defaults(tmp_path: Path) -> None:
    resolved = tmp_path / "compose.yaml"
    resolved.write_text(with_defaults(COMPOSE), encoding="utf-8")
    for path in (COMPOSE, resolved):
        judged = validate(path)
        assert judged.exit_code == 0, judged.output


def test_a_misspelt_key_would_not_be_valid(tmp_path: Path) -> None:
    misspelt = tmp_path / "compose.yaml"
    misspelt.write_text(
        COMPOSE.read_text(encoding="utf-8").replace("read_only: true\n  cap", "readonly: true\n  cap")
    )
    judged = validate(misspelt)
    assert judged.exit_code == 1
    assert "'readonly' was unexpected" in judged.output


def test_each_image_has_its_service() -> None:
    assert sorted(dockerfile_of(service) for service in SERVICES.values()) == DOCKERFILES
    assert len({service["image"] for service in SERVICES.values()}) == len(SERVICES)
    assert not any(service["image"].endswith(":latest") for service in SERVICES.values())


@each_service
def test_a_service_can_write_nothing_and_gain_nothing(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(volume["read_only"] for volume in service["volumes"])
    assert "privileged" not in service
    assert "user" not in service  # the image's own


@each_service
def test_a_service_listens_on_loopback(service: dict[str, Any]) -> None:
    (port,) = service["ports"]
    assert port["host_ip"] == "127.0.0.1"
    assert str(port["target"]) == image_of(service).environment["ADAPTACT_PORT"]


def test_the_services_can_run_beside_each_other() -> None:
    published = [port["published"] for service in SERVICES.values() for port in service["ports"]]
    assert len(set(published)) == len(published)


@each_service
def test_models_are_mounted_where_the_image_looks_for_them(service: dict[str, Any]) -> None:
    (volume,) = service["volumes"]
    assert volume["target"] == image_of(service).environment["ADAPTACT_MODELS"]
    assert volume["bind"] == {"create_host_path": False}


@each_service
def test_the_health_check_is_the_image_s(service: dict[str, Any]) -> None:
    image = image_of(service)
    asked = {name: value if name == "test" else str(value) for name, value in service["healthcheck"].items()}
    assert asked == {"test": ["CMD", *image.health_command], **image.health_options}


@each_service
def test_a_service_is_limited_and_comes_back(service: dict[str, Any]) -> None:
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert limits["memory"]
    assert limits["pids"] > 0
    assert service["restart"] == "unless-stopped"


@each_service
def test_the_engine_waits_longer_for_a_stop_than_the_server(service: dict[str, Any]) -> None:
    allowed = int(service["stop_grace_period"].removesuffix("s"))
    assert allowed > Settings.model_fields["stop_grace_seconds"].default


def test_only_the_gpu_profile_asks_for_a_gpu() -> None:
    asking = {name for name, service in SERVICES.items() if "reservations" in service["deploy"]["resources"]}
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert asking == {"adaptact-gpu"}
    assert profiles == {"adaptact-gpu": ["gpu"]}
    (device,) = SERVICES["adaptact-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert device["capabilities"] == ["gpu"]
