"""The connection of a command to a Ray cluster."""

import logging
import os
from typing import Any

from adaptact.installation import install_line
from serve.cluster.errors import ClusterError

NAMESPACE = "adaptact"
AUTO = "auto"


def connect(address: str) -> None:
    """This process is a driver of the cluster at the address, or with `auto` of this machine's.

    Raises `ClusterError` without Ray, and where no cluster answers.
    """
    # Ray reports its use to its maker unless it is told not to, before it is imported.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Its next release leaves devices alone where none are asked for, as this one does once it is told.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415  # a server has none
    except ImportError as error:
        raise ClusterError(
            f"`--cluster` needs Ray, which is not installed: {install_line('cluster')}"
        ) from error
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        ray.init(address=address, namespace=NAMESPACE, **options)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = "on this machine" if address == AUTO else f"at `{address}`"
        raise ClusterError(
            f"no Ray cluster answers {where} (`ray start --head` begins one): {error}"
        ) from error


def list_nodes() -> list[dict[str, Any]]:
    """The nodes that are there, as Ray describes them."""
    import ray  # noqa: PLC0415

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    return [node for node in nodes if node["Alive"]]


def own_address() -> str:
    """The address of this process's node."""
    import ray  # noqa: PLC0415

    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]  # Ray's
