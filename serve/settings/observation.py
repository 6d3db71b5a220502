"""Settings: Metrics, logs and traces."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from serve.settings.topic import Topic


class ObservationSettings(Topic):
    """What is measured, compared and written down."""

    panel: ClassVar[str] = "Metrics, logs and traces"

    triton_metrics: Annotated[
        bool, Field(description="Also export the metrics under Triton's names, `nv_inference_*`.")
    ] = False
    drift: Annotated[bool, Field(description="Compare live values with those at a model's export.")] = True
    drift_minutes: Annotated[float, Field(ge=1, le=10_080, description="Minutes that values count.")] = 60.0
    drift_first_rows: Annotated[
        int, Field(ge=0, le=10_000, description="First rows to compare with where a file has no baseline.")
    ] = 0
    drift_rate: Annotated[
        float, Field(ge=0.1, le=1000, description="Requests of a model compared each second, in a worker.")
    ] = 10.0
    drift_layers_mib: Annotated[int, Field(ge=0, description="Largest model loaded twice, for layers.")] = 64
    access_log: Annotated[
        Path | None, Field(description="File for one line of JSON per request; - for standard output.")
    ] = None
    otlp_endpoint: Annotated[
        str,
        Field(
            pattern=r"^(https?://[^\s/]+(/[^\s]*)?)?$",
            description="URL of an OpenTelemetry collector (OTLP over HTTP) for one span per request.",
        ),
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Lowest level of the messages to log."),
    ] = "info"
