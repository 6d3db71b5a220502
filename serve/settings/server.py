"""Settings: Server."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from serve.settings.topic import Topic


class ServerSettings(Topic):
    """What the server is: its models, where it listens, how many processes it has."""

    panel: ClassVar[str] = "Server"

    models: Annotated[Path, Field(description="Folder of models.")]
    host: Annotated[str, Field(description="Address to listen on; 0.0.0.0 for all networks.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")] = 8000
    grpc_port: Annotated[int, Field(ge=0, le=65535, description="Port for gRPC; 0 disables gRPC.")] = 0
    console: Annotated[bool, Field(description="Serve the console, pages for people, at /console.")] = True
    workers: Annotated[
        int,
        Field(
            ge=0,
            le=256,
            description="Processes that answer; each loads every model. 0 chooses one per core, at most 4, "
            "and only one for CUDA or for models of more than 64 MiB.",
        ),
    ] = 0
    stop_grace_seconds: Annotated[
        int, Field(ge=0, le=86_400, description="Seconds that a shutdown waits for running requests.")
    ] = 30
    stop_linger_seconds: Annotated[
        float, Field(ge=0, le=3600, description="Seconds of a shutdown in which requests are still taken.")
    ] = 2.0
