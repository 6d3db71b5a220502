"""A Ray cluster on this machine: a head of one core, and nodes of one core that come and go."""

from pathlib import Path

import psutil

from tests.replicas.nodes import RayNodes

WORKER = "ray::"


class Nodes:
    """The cluster, until it is stopped."""

    def __init__(self, folder: Path) -> None:
        self._cluster = RayNodes(folder, nodes=0, cores=1, head_cores=1)
        self._cluster.__enter__()
        self.address = self._cluster.address

    def add(self) -> str:
        """The id of a new node."""
        return self._cluster.add()

    def kill(self, node: str) -> None:
        """The node and its processes are gone, as after a power failure."""
        self._cluster.kill(node)

    def find_workers(self) -> list[psutil.Process]:
        """The processes that do tasks."""
        processes = psutil.Process(self._cluster.pid).children(recursive=True)
        return [process for process in processes if _find_title(process).startswith(WORKER)]

    def stop(self) -> None:
        """All of it has ended."""
        self._cluster.__exit__()


def _find_title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
