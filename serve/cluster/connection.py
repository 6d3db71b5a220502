"""The connection of a command to a Ray cluster."""

from typing import Any

from adaptact import errors
from adaptact.cluster import connect_ray
from serve.cluster.errors import ClusterError

NAMESPACE = "adaptact"


def connect(address: str) -> None:
    """This process is a driver of the cluster at the address, or with `auto` of this machine's.

    Raises `ClusterError` without Ray, and where no cluster answers.
    """
    try:
        connect_ray(address, NAMESPACE)
    except errors.ClusterError as error:
        raise ClusterError(f"{error}; {error.hint}") from error


def list_nodes() -> list[dict[str, Any]]:
    """The nodes that are there, as Ray describes them."""
    import ray  # noqa: PLC0415

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    return [node for node in nodes if node["Alive"]]


def own_address() -> str:
    """The address of this process's node."""
    import ray  # noqa: PLC0415

    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]  # Ray's
