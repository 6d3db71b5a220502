"""Requests as spans: what a model was asked over HTTP, by OpenTelemetry's conventions.

Source: OpenTelemetry, Semantic conventions for HTTP spans,
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.types import Scope

from serve.rest.door import INFER, PREDICT
from serve.rest.notes import Notes
from serve.watch.access_log import Identity
from serve.watch.telemetry import Attributes

if TYPE_CHECKING:
    from serve.watch.telemetry import Telemetry

ROUTES = ((INFER, "/v2/models/{model}/infer"), (PREDICT, "/v1/models/{model}:predict"))
SERVER_ERROR = 500
# What the caller's span is told by.
CARRIED = (b"traceparent", b"tracestate")


class Tracing:
    """Makes the spans of requests, once they are answered."""

    def __init__(self, telemetry: "Telemetry") -> None:
        """Make them with this."""
        self._telemetry = telemetry

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
        trace_id = self._telemetry.span(f"POST {route}", carried, about, status >= SERVER_ERROR, spent)
        return replace(identity, trace_id=trace_id)


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
