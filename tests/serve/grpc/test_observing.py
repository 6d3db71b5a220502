from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from serve.observe.observers import Observers, Telemetry
from tests.serve import models
from tests.serve.grpc.running import Running, running
from tests.serve.grpc.test_server import answer, call, request

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Traced:
    """A gRPC server and the spans of its calls."""

    def __init__(self) -> None:
        self.grpc_server: Running
        self._kept = InMemorySpanExporter()
        self.telemetry = Telemetry(self._kept)

    def spans(self) -> list[ReadableSpan]:
        """All of them; no more can be made."""
        self.telemetry.close()
        return list(self._kept.get_finished_spans())


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    traced = Traced()
    with running(tmp_path, observers=Observers(telemetry=traced.telemetry)) as traced.grpc_server:
        yield traced


def test_a_call_is_a_span_of_its_callers_trace(traced: Traced) -> None:
    answer(traced.grpc_server, request(rows=2), metadata=(("traceparent", f"00-{TRACE}-{SPAN}-01"),))
    [span] = traced.spans()
    assert (span.name, span.kind) == ("inference.GRPCInferenceService/ModelInfer", SpanKind.SERVER)
    assert span.attributes == {
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "ModelInfer",
        "rpc.grpc.status_code": 0,
        "adaptact.model": "double",
        "adaptact.version": "1",
        "adaptact.rows": 2,
    }
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert (span.end_time or 0) > (span.start_time or 0)


def test_a_failed_calls_span_has_no_name_from_the_client(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError

    for asked in (request("secret-name"), request()):
        with pytest.raises(grpc.RpcError):
            answer(traced.grpc_server, asked)
        monkeypatch.setattr(traced.grpc_server.engine, "run", broken)
    spans = traced.spans()
    assert [(span.attributes or {})["rpc.grpc.status_code"] for span in spans] == [5, 13]
    assert [span.status.status_code for span in spans] == [StatusCode.UNSET, StatusCode.ERROR]
    assert not any("secret-name" in span.to_json() for span in spans)


def test_only_inference_is_traced(traced: Traced) -> None:
    call(traced.grpc_server, "ServerLive", b"")
    call(traced.grpc_server, "RepositoryIndex", b"")
    assert traced.spans() == []
