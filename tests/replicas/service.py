"""The service that the drills are about: its settings, its command, and what can be seen of it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.cluster.proxy_text import read_statistics
from tests.fleet.fleet import EXPERIMENT
from tests.fleet.load import Load
from tests.fleet.program import FleetError, Program, check
from tests.replicas.nodes import RayNodes
from tests.serve import models
from tests.serve.certificates import Certificates, write_certificates
from tests.serve.experiments.store.postgresql import running_server
from tests.serve.process import free_port
from tests.serve.rollout.variants import put_variants

NODES, CORES = 3, 2
LEAST, MOST = 3, 5
CLIENTS = 4
COMMAND_SECONDS = 600.0
LONG_SECONDS = 300.0
ROLES = {"client": ("infer", "feedback"), "admin": ("admin", "infer", "metrics")}
NET = """net (float[N, 3] x) => (float[N, 4] y) {
    w = Constant<value = float[3, 4] {0.3, -1.7, 0.01, 2.5, 1.1, 0.9, -0.4, 0.7, -2.2, 0.6, 1.3, -0.8}>()
    z = MatMul(x, w)
    y = Sigmoid(z)
}"""
SLOW_TURNS = 60_000


class Command(Program):
    """`adaptact serve --cluster`, started once as many replicas serve as must."""

    ready_seconds = 600.0
    service: "Service"

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise FleetError(f"the command has ended; its log is {self._log}")
        return len(self.service.serving()) >= LEAST


@dataclass(slots=True)
class Service:
    """The command that keeps it, and where it answers."""

    folder: Path
    nodes: RayNodes
    command: Program
    options: tuple[str, ...]
    url: str
    certificates: Certificates
    keys: dict[str, str]

    def load(self, clients: int = CLIENTS, request: tuple[str, dict[str, Any]] | None = None) -> Load:
        """Clients that send requests within the block."""
        arguments = self.url, self.certificates.authority, self.keys["client"], clients
        return Load(*arguments) if request is None else Load(*arguments, request)

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command of these words, once it has ended; with the variables in place of the cluster's."""
        return subprocess.run(
            [sys.executable, "-m", "adaptact", *words],
            capture_output=True,
            text=True,
            env={**self.nodes.environment, **environment},
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What `adaptact cluster status` prints."""
        done = self.run("cluster", "status", "--address", self.nodes.address, "--json")
        check(done.returncode == 0, f"`adaptact cluster status` ends with {done.stderr}")
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def serving(self) -> set[str]:
        """The addresses that HAProxy sends requests to; none while it does not answer."""
        try:
            states = read_statistics(self._ask_proxy("show stat"))
        except OSError:
            return set()
        return {state.address for state in states.values() if state.is_up}

    def proxy_pid(self) -> int:
        """HAProxy's process."""
        lines = self._ask_proxy("show info").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))

    def _ask_proxy(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "state" / "cluster" / "haproxy.sock"))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


@contextmanager
def running_service(folder: Path) -> Iterator[Service]:
    """The service on three nodes, once its replicas answer; its logs are in the folder."""
    certificates = write_certificates(folder / "certificates")
    certificate, key = certificates.pair("server")
    # HAProxy trusts what is in this file: the replicas' certificate is of this authority.
    certificate.write_bytes(certificate.read_bytes() + certificates.authority.read_bytes())
    put_variants(folder / "models")
    models.put(folder / "models", "net", models.model(NET))
    models.put(folder / "models", "slow", models.slow_model(SLOW_TURNS))
    (folder / "experiments.yaml").write_text(EXPERIMENT, encoding="utf-8")
    keys = {name: _make_key(folder, name, roles) for name, roles in ROLES.items()}
    port = free_port()
    with ExitStack() as closing:
        store = closing.enter_context(running_server())
        nodes = closing.enter_context(RayNodes(folder, NODES, CORES, needs_token=True))
        options = {
            "cluster": nodes.address,
            "models": folder / "models",
            "state": folder / "state",
            "port": port,
            "keys": folder / "keys.toml",
            "tls-certificate": certificate,
            "tls-key": key,
            "experiments": folder / "experiments.yaml",
            "experiments-store": store,
            "workers": 1,
            "min-replicas": LEAST,
            "max-replicas": MOST,
            "replica-requests": 2,
            "scale-down-seconds": 10,
        }
        words = tuple(part for name, value in options.items() for part in (f"--{name}", str(value)))
        url = f"https://127.0.0.1:{port}"
        environment = {
            name: value for name, value in nodes.environment.items() if os.environ.get(name) != value
        }
        command = Command(
            [sys.executable, "-m", "adaptact", "serve", *words], url, folder / "command.log", environment
        )
        service = Service(folder, nodes, command, words, url, certificates, keys)
        command.service = service
        closing.callback(service.run, "cluster", "stop", "--address", nodes.address)
        yield service


def _make_key(folder: Path, name: str, roles: Sequence[str]) -> str:
    words = ["key", str(folder / "keys.toml"), "--name", name, "--quiet"]
    words += [part for role in roles for part in ("--role", role)]
    done = subprocess.run(
        [sys.executable, "-m", "adaptact", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FleetError(done.stderr)
    return done.stdout.split()[-1]
