"""The access log and the traces of every request, over REST and gRPC."""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, TypeAlias

from adaptact.installation import install_line
from serve.engine.errors import StartupError
from serve.observe.access_log import AccessLog
from serve.protocol.descriptions import ServerMetadata

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AttributeValue

Attributes: TypeAlias = "dict[str, AttributeValue]"
PATH = "/v1/traces"
EXPORT_SECONDS = 3.0
"""The time limit for sending a batch; the end of the process waits for the last batch."""


@dataclass(frozen=True, slots=True)
class Observers:
    """The access log and the telemetry, where they are configured."""

    log: AccessLog | None = None
    telemetry: "Telemetry | None" = None

    def close(self) -> None:
        """Send the last spans and close the log."""
        if self.telemetry is not None:
            self.telemetry.close()
        if self.log is not None:
            self.log.close()


def open_observers(access_log: Path | None, otlp_endpoint: str) -> Observers:
    """The log in this file and traces to this address, where given; raises `StartupError`."""
    telemetry = open_telemetry(otlp_endpoint) if otlp_endpoint else None
    log = None if access_log is None else AccessLog(access_log)
    return Observers(log, telemetry)


class Telemetry:
    """Makes spans once the answer is written, from times that were measured before."""

    def __init__(self, exporter: "SpanExporter") -> None:
        """Send spans with the exporter, in batches and on its own thread; the rest when the process ends."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # of an extra, as all here
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        version = ServerMetadata().version
        about = {"service.version": version, "service.instance.id": str(uuid.uuid4())}
        if "OTEL_SERVICE_NAME" not in os.environ:
            about["service.name"] = "adaptact"
        self._provider = TracerProvider(resource=Resource.create(about))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("adaptact", version)
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def span(
        self,
        name: str,
        headers: Mapping[str, str],
        about: Attributes,
        failed: bool,
        spent: tuple[float, float],
    ) -> str:
        """Make a span in the trace that the headers name, or in a new one; returns the trace's id."""
        since = time_ns() - int(perf_counter() * 1e9)
        span = self._tracer.start_span(
            name,
            self._propagator.extract(headers),
            self._kind,
            about,
            start_time=since + int(spent[0] * 1e9),
        )
        if failed:
            span.set_status(self._failed)
        span.end(since + int(spent[1] * 1e9))
        return f"{span.get_span_context().trace_id:032x}"


def open_telemetry(endpoint: str) -> Telemetry:
    """Traces to the collector at this address; raises `StartupError` where the extra is not installed."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError as error:
        raise StartupError(
            f"`--otlp-endpoint` needs OpenTelemetry, which is not installed: {install_line('telemetry')}"
        ) from error
    address = endpoint if endpoint.endswith(PATH) else endpoint.rstrip("/") + PATH
    return Telemetry(OTLPSpanExporter(address, timeout=EXPORT_SECONDS))
