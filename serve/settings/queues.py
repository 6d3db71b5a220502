"""Settings: Batching and queues."""

from typing import Annotated, ClassVar

from pydantic import Field

from serve.engine.config import (
    Batching,
    BatchRows,
    ModelConfig,
    QueueLength,
    QueueSeconds,
    RequestRows,
    RunSeconds,
)
from serve.settings.topic import Topic

MODEL = ModelConfig()  # the defaults of one without a `config.toml`


class QueueSettings(Topic):
    """How requests are joined, and how long they wait."""

    panel: ClassVar[str] = "Batching and queues"

    batching: Annotated[
        Batching,
        Field(description="Join waiting requests: auto (if measured to pay), on (always) or off (never)."),
    ] = MODEL.batching
    batch_rows: Annotated[BatchRows, Field(description="Maximum rows of all joined requests together.")] = (
        MODEL.batch_rows
    )
    request_rows: Annotated[
        RequestRows, Field(description="Maximum rows of one request; 0 for no limit.")
    ] = MODEL.request_rows
    queue_length: Annotated[QueueLength, Field(description="Maximum requests that wait for one model.")] = (
        MODEL.queue_length
    )
    queue_seconds: Annotated[
        QueueSeconds,
        Field(description="Maximum seconds that a request waits; the request may set a shorter limit."),
    ] = MODEL.queue_seconds
    queue_target_seconds: Annotated[
        QueueSeconds, Field(description="Seconds of waiting from which on further requests are refused.")
    ] = MODEL.queue_target_seconds
    run_seconds: Annotated[
        RunSeconds,
        Field(description="Maximum seconds of a run, which is then ended; its requests get an error."),
    ] = MODEL.run_seconds
    load_seconds: Annotated[
        float,
        Field(ge=0.1, le=86_400, description="Maximum seconds of loading a version, which is then refused."),
    ] = 300.0
