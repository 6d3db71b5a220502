"""Two servers behind HAProxy, with PostgreSQL, Prometheus and Alertmanager, as `docker/` sets them up."""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from serve.experiments.units import KEY_BYTES, KEY_FILE
from tests.docker.paths import DOCKER
from tests.fleet.alerts import AlertReceiver
from tests.fleet.program import FleetError, Program
from tests.serve.certificates import Certificates, write_certificates
from tests.serve.experiments.store.postgresql import running_server
from tests.serve.process import free_port
from tests.serve.rollout.variants import put_variants

COMMANDS = {"haproxy": "haproxy", "prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
WORKERS = 2
ROLES = {"client": ("infer", "feedback"), "metrics": ("metrics",), "admin": ("admin", "infer", "metrics")}
EXPERIMENT = """
experiments:
  - name: triple
    model: digits
    control: {name: double, version: 1}
    candidates:
      - {name: triple, version: 2}
    stages: {steps: [50], auto_advance: false}
    metrics:
      - {name: right, kind: binary, is_primary: true}
    planned_units: 10000
"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Its programs, where they answer, and the keys of its servers by role."""

    servers: tuple[Program, Program]
    addresses: tuple[str, str]
    proxy_url: str
    prometheus_url: str
    certificates: Certificates
    keys: dict[str, str]
    alerts: AlertReceiver


def require_commands() -> None:
    """FleetError where a program of the fleet is not installed."""
    missing = [name for name in COMMANDS.values() if shutil.which(name) is None]
    if missing:
        raise FleetError(f"not installed: {', '.join(missing)}; Debian has them, and postgresql")


@contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    """The fleet, once all of it answers; stopped after the block. Its logs are in `folder`."""
    require_commands()
    certificates = write_certificates(folder / "certificates")
    keys = _write_keys(folder)
    put_variants(folder / "models")
    (folder / "experiments.yaml").write_text(EXPERIMENT, encoding="utf-8")
    with ExitStack() as closing:
        store = closing.enter_context(running_server())
        alerts = closing.enter_context(AlertReceiver())
        addresses = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
        unit_key = secrets.token_hex(KEY_BYTES)
        servers = tuple(_make_server(folder, address, store, unit_key) for address in addresses)
        alertmanager, alertmanager_address = _make_alertmanager(folder, alerts.url)
        proxy, proxy_address, proxy_metrics = _make_proxy(folder, certificates, addresses)
        targets = {"adaptact": addresses, "haproxy": (proxy_metrics,)}
        prometheus, prometheus_address = _make_prometheus(folder, targets, alertmanager_address)
        for program in (*servers, proxy, alertmanager, prometheus):
            closing.callback(program.stop)
            program.start()
        yield Fleet(
            (servers[0], servers[1]),
            addresses,
            f"https://{proxy_address}",
            f"http://{prometheus_address}",
            certificates,
            keys,
            alerts,
        )


def _write_keys(folder: Path) -> dict[str, str]:
    keys = {}
    for name, roles in ROLES.items():
        command = [
            sys.executable,
            "-m",
            "adaptact",
            "key",
            str(folder / "keys.toml"),
            "--name",
            name,
            "--quiet",
        ]
        options = [option for role in roles for option in ("--role", role)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        keys[name] = done.stdout.split()[-1]
    (folder / "metrics.key").write_text(keys["metrics"], encoding="utf-8")
    return keys


def _make_server(folder: Path, address: str, store: str, unit_key: str) -> Program:
    host, port = address.split(":")
    state = folder / f"state-{port}"
    state.mkdir()
    # A unit must be the same one to both servers.
    (state / KEY_FILE).touch(mode=0o600)
    (state / KEY_FILE).write_text(f"{unit_key}\n", encoding="utf-8")
    command = [sys.executable, "-m", "adaptact", "serve", "--host", host, "--port", port]
    options = {
        "models": folder / "models",
        "workers": WORKERS,
        "keys": folder / "keys.toml",
        "state": state,
        "experiments": folder / "experiments.yaml",
        "experiments-store": store,
        "proxies": "127.0.0.1",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return Program([*command, *arguments], f"http://{address}/v2/health/ready", folder / f"server-{port}.log")


def _make_proxy(
    folder: Path, certificates: Certificates, servers: tuple[str, str]
) -> tuple[Program, str, str]:
    address, metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    both = folder / "proxy.pem"
    both.write_bytes(b"".join(path.read_bytes() for path in certificates.pair("server")))
    environment = {
        "ADAPTACT_PROXY_ADDRESS": address,
        "ADAPTACT_PROXY_CERTIFICATE": str(both),
        "ADAPTACT_PROXY_METRICS_ADDRESS": metrics,
        "ADAPTACT_SERVER_1": servers[0],
        "ADAPTACT_SERVER_2": servers[1],
    }
    command = [COMMANDS["haproxy"], "-db", "-f", str(DOCKER / "haproxy" / "haproxy.cfg")]
    program = Program(command, f"http://{metrics}/metrics", folder / "haproxy.log", environment)
    return program, address, metrics


def _make_alertmanager(folder: Path, receiver_url: str) -> tuple[Program, str]:
    configuration = _read("alertmanager/alertmanager.yaml")
    (hook,) = configuration["receivers"][0]["webhook_configs"]
    del hook["url_file"]  # 0.26 and later know it; Debian 12 has 0.25
    hook["url"] = receiver_url
    path = _write(folder / "alertmanager.yaml", configuration)
    address = f"127.0.0.1:{free_port()}"
    command = [
        COMMANDS["alertmanager"],
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    return Program(command, f"http://{address}/-/ready", folder / "alertmanager.log"), address


def _make_prometheus(
    folder: Path, targets: dict[str, tuple[str, ...]], alertmanager: str
) -> tuple[Program, str]:
    configuration = _read("prometheus/fleet.yaml")
    configuration["rule_files"] = [str(DOCKER / "prometheus" / name) for name in configuration["rule_files"]]
    configuration["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    for job in configuration["scrape_configs"]:
        job["static_configs"][0]["targets"] = list(targets[job["job_name"]])
        if "authorization" in job:
            job["authorization"]["credentials_file"] = str(folder / "metrics.key")
    path = _write(folder / "prometheus.yaml", configuration)
    address = f"127.0.0.1:{free_port()}"
    command = [
        COMMANDS["prometheus"],
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
    ]
    return Program(command, f"http://{address}/-/ready", folder / "prometheus.log"), address


def _read(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))


def _write(path: Path, configuration: object) -> Path:
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return path
