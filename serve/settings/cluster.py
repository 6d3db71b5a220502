"""Settings: Cluster."""

from typing import Annotated, ClassVar

from pydantic import Field

from serve.settings.topic import Topic


class ClusterSettings(Topic):
    """Replicas of the server on the machines of a Ray cluster, behind an HAProxy on this one."""

    panel: ClassVar[str] = "Cluster"

    cluster: Annotated[
        str,
        Field(
            pattern=r"^(auto|[A-Za-z0-9._-]+:[0-9]{1,5}|\[[0-9A-Fa-f:]+\]:[0-9]{1,5})?$",
            description="Serve from replicas on the Ray cluster at this address, such as 10.0.0.1:6379; "
            "auto, or no address, for that of this machine.",
        ),
    ] = ""
    min_replicas: Annotated[int, Field(ge=1, le=256, description="Replicas at least.")] = 1
    max_replicas: Annotated[int, Field(ge=1, le=256, description="Replicas at most.")] = 1
    replica_cpus: Annotated[int, Field(ge=1, le=1024, description="Cores of each replica.")] = 1
    replica_gpus: Annotated[float, Field(ge=0, le=64, description="GPUs of each replica.")] = 0.0
    replica_requests: Annotated[
        float,
        Field(
            ge=0,
            le=100_000,
            description="Requests that a replica should have waiting and running; above that there are more "
            "replicas. 0 chooses two per core.",
        ),
    ] = 0.0
    scale_down_seconds: Annotated[
        float, Field(ge=1, le=86_400, description="So long fewer replicas must have been enough.")
    ] = 300.0
    ready_seconds: Annotated[
        float, Field(ge=1, le=86_400, description="Maximum seconds until a replica is placed and ready.")
    ] = 600.0
