"""Settings: Request and connection limits."""

from typing import Annotated, ClassVar

from pydantic import Field

from serve.settings.topic import Topic


class LimitSettings(Topic):
    """What requests and connections may take."""

    panel: ClassVar[str] = "Request and connection limits"

    body_limit_mib: Annotated[
        int, Field(ge=1, le=2048, description="Maximum size of a request's body, in MiB.")
    ] = 64
    connections: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Maximum open connections of all workers together; further ones get 503.",
        ),
    ] = 1000
    stall_seconds: Annotated[
        float,
        Field(
            ge=0.1,
            le=3600,
            description="Maximum seconds for a request's head, and between parts of its body.",
        ),
    ] = 20.0
    shared_memory: Annotated[
        str,
        Field(
            pattern=r"^(\s*(\*|[A-Za-z0-9_][A-Za-z0-9._-]*)\s*(,|$))*$",
            description="Beginnings of the names of shared memory objects that clients may use for tensors, "
            "such as in_,out_, or * for any; empty: none.",
        ),
    ] = ""
