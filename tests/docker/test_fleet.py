"""Two servers behind a proxy: the compose file, and that it gives each server what a single one gets."""

import re
from typing import Any

import pytest

from tests.docker.compose import required, services, variables, with_defaults
from tests.docker.paths import COMPOSE, DOCKER, FLEET
from tests.docker.test_compose import validate

SERVICES = services(FLEET)
SERVERS = ("adaptact-1", "adaptact-2")
SAME = (
    "restart",
    "read_only",
    "cap_drop",
    "security_opt",
    "logging",
    "stop_grace_period",
    "env_file",
    "deploy",
)
EXAMPLE = (DOCKER / "fleet.env.example").read_text(encoding="utf-8")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def mounts(service: dict[str, Any]) -> dict[str, str]:
    return {volume["target"]: volume["source"] for volume in service["volumes"] if volume["type"] == "bind"}


def test_the_file_is_valid() -> None:
    judged = validate(FLEET)
    assert judged.exit_code == 0, judged.output


@each_service
def test_a_service_gains_nothing_and_comes_back(service: dict[str, Any]) -> None:
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_the_one_of_a_single_machine(name: str) -> None:
    single = services(COMPOSE)["adaptact"]
    assert {key: SERVICES[name][key] for key in SAME} == {key: single[key] for key in SAME}
    assert "ports" not in SERVICES[name]  # clients come through the proxy


def test_servers_differ_only_in_their_state() -> None:
    one, two = (SERVICES[name] for name in SERVERS)
    assert {key: value for key, value in one.items() if key != "volumes"} == {
        key: value for key, value in two.items() if key != "volumes"
    }
    differing = {target for target in mounts(one) if mounts(one)[target] != mounts(two)[target]}
    assert differing == {"/state"}


def test_only_the_proxy_may_be_opened_to_other_machines() -> None:
    text = FLEET.read_text(encoding="utf-8")
    assert text.count("host_ip: ${ADAPTACT_PUBLISH_IP:-127.0.0.1}") == 1
    assert all(port["host_ip"] == "127.0.0.1" for each in SERVICES.values() for port in each.get("ports", ()))


def test_without_secrets_it_does_not_start() -> None:
    assert required(FLEET) == {"ADAPTACT_SECRETS_DIR", "ADAPTACT_STATE_DIR", "ADAPTACT_DATABASE_PASSWORD"}
    assert re.findall(r"^(\w+)=$", EXAMPLE, re.M) == [
        "ADAPTACT_SECRETS_DIR",
        "ADAPTACT_STATE_DIR",
        "ADAPTACT_DATABASE_PASSWORD",
    ]


def test_every_variable_stands_with_its_default_in_the_example() -> None:
    assert dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.M)) == variables(FLEET)


@each_service
def test_what_is_mounted_from_here_is_there(service: dict[str, Any]) -> None:
    own = [source for source in mounts(service).values() if "/" not in source]
    assert all((DOCKER / source).is_dir() for source in own)


def test_the_proxy_is_told_every_address_that_its_configuration_reads() -> None:
    asked = set(re.findall(r"\$\{(\w+)\}", (DOCKER / "haproxy" / "haproxy.cfg").read_text(encoding="utf-8")))
    given = SERVICES["proxy"]["environment"]
    assert asked == given.keys()
    assert [given["ADAPTACT_SERVER_1"], given["ADAPTACT_SERVER_2"]] == [f"{name}:8000" for name in SERVERS]


def test_each_secret_is_given_to_whoever_reads_it() -> None:
    given = {name: set(service.get("secrets", ())) for name, service in SERVICES.items()}
    assert set().union(*given.values()) == set(
        re.findall(r"^  ([\w.-]+):\n    file:", with_defaults(FLEET), re.M)
    )
    files = {
        "prometheus": DOCKER / "prometheus" / "fleet.yaml",
        "alertmanager": DOCKER / "alertmanager" / "alertmanager.yaml",
    }
    for name, path in files.items():
        assert set(re.findall(r"/run/secrets/([\w.-]+)", path.read_text(encoding="utf-8"))) == given[name]
