"""Traces: a span for each inference request, sent to an OpenTelemetry collector.

Sources: OpenTelemetry, Semantic conventions for HTTP spans,
https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and OTLP/HTTP,
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import os
import uuid
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, TypeAlias

from starlette.types import Scope

from serve.engine.errors import StartupError
from serve.rest.access_log import Identity
from serve.rest.door import INFER, PREDICT
from serve.rest.models import ServerMetadata
from serve.rest.notes import Notes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AttributeValue

Attributes: TypeAlias = "Mapping[str, AttributeValue]"

ROUTES = ((INFER, "/v2/models/{model}/infer"), (PREDICT, "/v1/models/{model}:predict"))
PATH = "/v1/traces"
SERVER_ERROR = 500
EXPORT_SECONDS = 3.0
"""How long a batch is tried to be sent; the end of the process waits for the last."""
# What the caller's span is told by.
CARRIED = (b"traceparent", b"tracestate")


class Telemetry:
    """Makes the spans once the answer is written, from times that were taken before."""

    def __init__(self, exporter: "SpanExporter") -> None:
        """Send the spans with this, in batches and on a thread of its own; the rest when the process ends."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  an extra's, as all here
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

    def record(
        self, scope: Scope, identity: Identity, status: int, notes: Notes, spent: tuple[float, float]
    ) -> Identity:
        """Make the request's span if it asked a model, and name its trace in the identity.

        `spent` is when by `perf_counter` the request came and was answered.
        """
        route = next((route for path, route in ROUTES if path.fullmatch(scope["path"])), None)
        if route is None or scope["method"] != "POST":
            return identity
        about: Attributes = {
            "http.request.method": "POST",
            "http.route": route,
            "http.response.status_code": status,
            "adaptact.request_id": identity.request_id,
            **_about(notes),
        }
        carried = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in CARRIED
        }
        trace_id = self.span(f"POST {route}", carried, about, status >= SERVER_ERROR, spent)
        return replace(identity, trace_id=trace_id)

    def span(
        self,
        name: str,
        carried: Mapping[str, str],
        about: Attributes,
        failed: bool,
        spent: tuple[float, float],
    ) -> str:
        """Make the span, in the trace that the headers `carried` name or a new one; gives that trace's id."""
        since = time_ns() - int(perf_counter() * 1e9)
        span = self._tracer.start_span(
            name,
            self._propagator.extract(carried),
            self._kind,
            about,
            start_time=since + int(spent[0] * 1e9),
        )
        if failed:
            span.set_status(self._failed)
        span.end(since + int(spent[1] * 1e9))
        return f"{span.get_span_context().trace_id:032x}"


def _about(notes: Notes) -> Attributes:
    """What is known of the model, and of the stages of a request that came to its end.

    A span for each stage would say the same, and cost as much again each.
    """
    if notes.model is None:
        return {}
    model: Attributes = {
        "adaptact.model": notes.model.name,
        "adaptact.version": notes.model.version,
    }
    if notes.rows is None:
        return model
    return {
        **model,
        "adaptact.rows": notes.rows,
        "adaptact.read_microseconds": _microseconds(notes.began, notes.read),
        "adaptact.run_microseconds": _microseconds(notes.read, notes.ran),
        "adaptact.write_microseconds": _microseconds(notes.ran, notes.written),
    }


def _microseconds(start: float, end: float) -> int:
    return round(1e6 * (end - start))


def open_telemetry(endpoint: str) -> Telemetry:
    """Traces to the collector at this address; raises `StartupError` where the extra is not installed."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError as error:
        raise StartupError(
            "`--otlp-endpoint` needs OpenTelemetry: install the extra `telemetry`, as in "
            "`pip install 'adaptact[serve,telemetry]'`"
        ) from error
    address = endpoint if endpoint.endswith(PATH) else endpoint.rstrip("/") + PATH
    return Telemetry(OTLPSpanExporter(address, timeout=EXPORT_SECONDS))
