"""A Ray cluster on this machine, in a process of its own, which is told by lines what to do.

`python -m tests.replicas.nodes NODES CORES HEAD_CORES` prints its address; `kill NODE` kills a node as a
power failure would, `kill head` the head's process that knows the cluster, `add` adds a node, and at the end
of its input all of it ends.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fleet.program import READY_SECONDS, FleetError
from tests.serve.process import free_port

HEAD = "head"
OBJECT_STORE_BYTES = 80 * 2**20  # Ray's least is 75 MiB
PORTS = ("metrics_agent_port", "runtime_env_agent_port", "dashboard_agent_listen_port", "metrics_export_port")
# A machine whose cores are all busy starts nodes slowly.
PATIENCE_SECONDS = 300
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_raylet_start_wait_time_s": str(PATIENCE_SECONDS),
    "RAY_agent_register_timeout_ms": str(1000 * PATIENCE_SECONDS),
}


class RayNodes:
    """The cluster, from the start of the block to its end."""

    def __init__(
        self, folder: Path, nodes: int, cores: int, head_cores: int = 0, *, needs_token: bool = False
    ) -> None:
        """`needs_token` refuses whoever has not the token, which `environment` holds."""
        self._folder = folder
        self._shape = [str(number) for number in (nodes, cores, head_cores)]
        self.environment = {**os.environ, **ENVIRONMENT, "RAY_TMPDIR": str(folder)}
        if needs_token:
            self.environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.address = ""

    @property
    def pid(self) -> int:
        """Of the process that all of Ray's descend from."""
        return self._process.pid

    def kill(self, node: str) -> None:
        """The node and all its processes are gone."""
        self._tell(f"kill {node}")

    def kill_head(self) -> None:
        """Nobody knows the cluster any more: nodes are only heard of by one another."""
        self._tell(f"kill {HEAD}")

    def add(self) -> str:
        """The id of a new node."""
        return self._tell("add")

    def _tell(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("done "):
                return line.split()[1]
        raise FleetError(f"Ray has ended; its logs are in {self._folder}")

    def __enter__(self) -> "RayNodes":
        with (self._folder / "nodes.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.replicas.nodes", *self._shape],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environment,
                start_new_session=True,
            )
        self.address = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(READY_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # agents whose node lost its head wait for it
        assert self._process.stdout is not None
        self._process.stdout.close()


def main() -> None:
    """Run the cluster until the end of the input."""
    from ray._private import services  # noqa: PLC0415  # Ray is of the other process alone
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    _wait_longer(services)
    nodes, cores, head_cores = map(int, sys.argv[1:])
    cluster: Any = Cluster(initialize_head=False, shutdown_at_exit=True)
    _add(cluster, num_cpus=head_cores, include_dashboard=False)  # the first one is the head
    for _ in range(nodes):
        _add(cluster, num_cpus=cores)
    _answer(cluster.address)
    for line in sys.stdin:
        verb, _, node = line.strip().partition(" ")
        if node == HEAD:
            cluster.head_node.kill_gcs_server()
            _answer(node)
        elif verb == "kill":
            (killed,) = [each for each in cluster.worker_nodes if each.node_id == node]
            cluster.remove_node(killed, allow_graceful=False)
            _answer(node)
        else:
            _answer(_add(cluster, num_cpus=cores))
    cluster.shutdown()


def _add(cluster: Any, **options: Any) -> str:
    """The id of a new node."""
    node = secrets.token_hex(28)
    os.environ["RAY_OVERRIDE_NODE_ID_FOR_TESTING"] = node
    ports = {name: free_port() for name in PORTS}
    threading.Thread(target=_say_ports, args=(node, ports), daemon=True).start()
    cluster.add_node(object_store_memory=OBJECT_STORE_BYTES, **ports, **options)
    return node


def _say_ports(node: str, ports: Mapping[str, int]) -> None:
    """Ray's agents write their ports into files, that a node awaits for 15 s: here too short."""
    session = Path(os.environ["RAY_TMPDIR"], "ray", "session_latest")
    while not (session / "logs").exists():
        time.sleep(0.05)
    for name, port in ports.items():
        (session / f"{name}_{node}").write_text(str(port), encoding="utf-8")


def _wait_longer(services: Any) -> None:
    """Ray's command waits ten seconds for a new node to be known."""
    find = services.get_node

    def find_patiently(*arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return find(*arguments, **named)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    services.get_node = find_patiently


def _answer(word: str) -> None:
    sys.stdout.write(f"done {word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
