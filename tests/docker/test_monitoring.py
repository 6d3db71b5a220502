"""Prometheus and Grafana beside the server: the compose file, what it mounts, and the page about it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.compose import required, services, variables, with_defaults
from tests.docker.paths import COMPOSE, DOCKER, MONITORING, MONITORING_SECURED, ROOT, SECURED
from tests.docker.test_compose import validate

SERVICES = services(MONITORING)
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What of this folder a service sees, by where it sees it."""
    return {each["target"]: each["source"] for each in service["volumes"] if each["type"] == "bind"}


def test_the_file_is_valid_with_and_without_its_defaults(tmp_path: Path) -> None:
    resolved = tmp_path / "monitoring.yaml"
    resolved.write_text(with_defaults(MONITORING), encoding="utf-8")
    for path in (MONITORING, resolved):
        judged = validate(path)
        assert judged.exit_code == 0, judged.output


@each_service
def test_a_service_writes_only_to_its_volume(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [each["type"] for each in service["volumes"] if not each.get("read_only")] == ["volume"]


@each_service
def test_a_service_listens_on_loopback_on_a_port_of_its_own(service: dict[str, Any]) -> None:
    (port,) = service["ports"]
    assert port["host_ip"] == "127.0.0.1"
    others = [each for found in (SERVICES, services(COMPOSE)) for each in found.values() if each != service]
    assert port["published"] not in {other["published"] for each in others for other in each["ports"]}


@each_service
def test_an_image_has_a_tag_that_stays_and_limits(service: dict[str, Any]) -> None:
    assert service["image"].rpartition(":")[2] not in ("", "latest")
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@each_service
def test_what_is_mounted_is_there(service: dict[str, Any]) -> None:
    assert all((DOCKER / source).exists() for source in mounts(service).values())


def test_grafana_has_no_password_that_everybody_knows() -> None:
    asked = SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    assert asked.startswith("${ADAPTACT_GRAFANA_PASSWORD:?")
    assert "| `ADAPTACT_GRAFANA_PASSWORD` | required |" in PAGE


def read_prometheus(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DOCKER / "prometheus" / name).read_text(encoding="utf-8"))
    return parsed


@pytest.mark.parametrize("overlay", [MONITORING, MONITORING_SECURED], ids=["open", "secured"])
def test_prometheus_finds_its_files_and_every_server(overlay: Path) -> None:
    [folder] = mounts(SERVICES["prometheus"])
    [option] = [
        line for line in services(overlay)["prometheus"]["command"] if line.startswith("--config.file")
    ]
    path, name = option.removeprefix("--config.file=").rsplit("/", 1)
    assert path == folder
    parsed = read_prometheus(name)
    assert all((DOCKER / "prometheus" / file).exists() for file in parsed["rule_files"])
    [job] = parsed["scrape_configs"]
    assert job["job_name"] == "adaptact"
    [found] = job["dns_sd_configs"]
    servers = services(COMPOSE)
    assert set(found["names"]) == servers.keys()
    assert {service["ports"][0]["target"] for service in servers.values()} == {found["port"]}
    [rule] = job["relabel_configs"]
    assert rule["replacement"] == f"$1:{found['port']}"


def test_a_secured_server_is_scraped_with_a_key_over_tls() -> None:
    plain, secured = read_prometheus("prometheus.yaml"), read_prometheus("secured.yaml")
    [job] = secured["scrape_configs"]
    assert job.pop("scheme") == "https"
    given = yaml.safe_load(with_defaults(MONITORING_SECURED))
    files = {job.pop("authorization")["credentials_file"], job.pop("tls_config")["ca_file"]}
    assert files == {f"/run/secrets/{name}" for name in given["services"]["prometheus"]["secrets"]}
    assert given["secrets"].keys() == set(given["services"]["prometheus"]["secrets"])
    assert plain == secured
    assert required(MONITORING_SECURED) == required(SECURED)
    assert all(f"`{name}`" in PAGE for name in given["secrets"])


def test_only_the_configuration_and_the_secrets_differ_where_servers_are_secured() -> None:
    judged = validate(MONITORING_SECURED)
    assert judged.exit_code == 0, judged.output
    overlay = services(MONITORING_SECURED)
    assert overlay.keys() == {"prometheus"}
    assert overlay["prometheus"].keys() == {"command", "secrets"}
    plain = SERVICES["prometheus"]["command"]
    assert overlay["prometheus"]["command"][1:] == plain[1:]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    service = SERVICES["grafana"]
    [source] = yaml.safe_load((DOCKER / "grafana" / "datasource.yaml").read_text(encoding="utf-8"))[
        "datasources"
    ]
    assert source["url"] == f"http://prometheus:{SERVICES['prometheus']['ports'][0]['target']}"
    [provider] = yaml.safe_load((DOCKER / "grafana" / "provider.yaml").read_text(encoding="utf-8"))[
        "providers"
    ]
    board = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert board.startswith(provider["options"]["path"] + "/")
    assert json.loads((DOCKER / mounts(service)[board]).read_text(encoding="utf-8"))["title"] == "adaptact"


@pytest.mark.parametrize(
    ("name", "default"), sorted(variables(MONITORING).items() - variables(COMPOSE).items())
)
def test_every_variable_of_the_file_stands_with_its_default(name: str, default: str) -> None:
    assert f"| `{name}` | `{default}` |" in PAGE
