"""An order made from settings."""

import os
from math import ceil
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serve.cluster.errors import ClusterError
from serve.cluster.order import Order
from serve.cluster.proxy_text import ProxyOptions
from serve.cluster.scaling import ScalingOptions
from serve.cluster.spec import make_spec
from serve.engine.errors import quote_names
from serve.settings import Settings

FOLDER = "cluster"
REQUESTS_PER_CORE = 2.0
ANSWER_RESERVE_SECONDS = 10
"""A replica says itself that a request has waited or run for too long, and this is for all else."""
STOP_RESERVE_SECONDS = 15.0
"""A server that is told to stop takes its grace, and this for all else."""


def make_order(settings: Settings, own_address: str, generation: str = "") -> Order:
    """What these settings want; requests come from the proxy at `own_address`. Raises `ClusterError`.

    Another `generation` wants other replicas, whatever the settings are.
    """
    spec = make_spec(settings, own_address, generation)
    certificate = spec.files.get("tls_certificate", b"")
    in_flight = settings.replica_requests or REQUESTS_PER_CORE * settings.replica_cpus
    scaling = ScalingOptions(
        settings.min_replicas, settings.max_replicas, in_flight, settings.scale_down_seconds
    )
    proxy = ProxyOptions(
        host=settings.host,
        port=settings.port,
        grpc_port=settings.grpc_port,
        slots=2 * settings.max_replicas + 2,  # those that start or stop have one too
        certificate=b"\n".join(filter(None, (certificate, spec.files.get("tls_key")))),
        trusted=certificate,
        connections=settings.connections,
        answer_seconds=max(60, ceil(settings.queue_seconds + settings.run_seconds) + ANSWER_RESERVE_SECONDS),
        shares_state=bool(settings.experiments_store),
    )
    stop_seconds = settings.stop_grace_seconds + STOP_RESERVE_SECONDS
    return Order(spec, scaling, proxy, settings.ready_seconds, stop_seconds)


def find_folder(settings: Settings) -> Path:
    """Where the proxy's files are."""
    if settings.state is None:
        raise ClusterError("`--cluster` needs `--state`, the folder of the proxy's files and of unit.key")
    return Path(os.path.abspath(settings.state)) / FOLDER


def write_settings(settings: Settings) -> str:
    """The settings as JSON that means the same in another working folder."""
    given: dict[str, Any] = settings.model_dump(mode="json")
    for name in Settings.model_fields:
        if isinstance(getattr(settings, name), Path) and given[name] != "-":
            given[name] = os.path.abspath(given[name])
    return Settings.model_validate(given).model_dump_json()


def read_settings(text: str) -> Settings:
    """The settings of `write_settings`; raises `ClusterError` for those of another adaptact."""
    try:
        return Settings.model_validate_json(text)
    except ValidationError as error:
        names = quote_names(sorted({str(part) for one in error.errors() for part in one["loc"][:1]}))
        raise ClusterError(
            f"the command that keeps the cluster cannot read the settings {names}, and may be of another "
            "version; end it, and start this one in its place"
        ) from error
