import gzip
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from serve.access.proxies import Proxies
from serve.engine import Engine
from serve.observe.observers import Observers, Telemetry
from serve.rest.app import create_app
from serve.rest.middleware import ObservingMiddleware
from serve.settings import Settings
from tests.serve import models
from tests.serve.in_process import Client
from tests.serve.process import ServerProcess

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
INFER = "/v2/models/double/infer"
TWO_ROWS = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1] * 6}]}


class Traced:
    """A client of the application, and the spans of what it asks."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._kept = InMemorySpanExporter()
        self._telemetry = Telemetry(self._kept)
        app = create_app(engine, Settings(models=folder))
        self.client = Client(ObservingMiddleware(app, Observers(telemetry=self._telemetry), Proxies()))

    def spans(self) -> list[ReadableSpan]:
        """All of them; no more can be made."""
        self._telemetry.close()
        return list(self._kept.get_finished_spans())


@pytest.fixture
def traced(fresh_engine: Engine, changing: Path) -> Traced:
    return Traced(fresh_engine, changing)


def test_an_inference_request_is_a_span_with_what_is_known_of_it(traced: Traced) -> None:
    assert traced.client.post(INFER, TWO_ROWS, {"x-request-id": "mine"}).status_code == 200
    [span] = traced.spans()
    assert (span.name, span.kind) == ("POST /v2/models/{model}/infer", SpanKind.SERVER)
    stages = {f"adaptact.{stage}_microseconds" for stage in ("read", "run", "write")}
    assert {name: value for name, value in (span.attributes or {}).items() if name not in stages} == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{model}/infer",
        "http.response.status_code": 200,
        "adaptact.model": "double",
        "adaptact.version": "2",
        "adaptact.rows": 2,
        "adaptact.request_id": "mine",
    }
    assert span.resource.attributes["service.name"] == "adaptact"


@pytest.mark.parametrize(
    ("path", "body"), [(INFER, TWO_ROWS), ("/v1/models/double:predict", {"instances": [[1, 2, 3]] * 2})]
)
def test_its_stages_are_told_and_fit_into_it(traced: Traced, path: str, body: object) -> None:
    traced.client.post(path, body)
    [span] = traced.spans()
    attributes = span.attributes or {}
    stages = [attributes[f"adaptact.{stage}_microseconds"] for stage in ("read", "run", "write")]
    whole = ((span.end_time or 0) - (span.start_time or 0)) / 1e3
    assert all(isinstance(each, int) and each > 0 for each in stages)
    assert sum(each for each in stages if isinstance(each, int)) <= whole + 2
    assert abs((span.end_time or 0) / 1e9 - time.time()) < 60


def test_it_belongs_to_its_callers_trace(traced: Traced) -> None:
    traced.client.post(INFER, TWO_ROWS, {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b"})
    [span] = traced.spans()
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert span.context is not None
    assert span.context.trace_state.get("a") == "b"


def test_what_the_caller_does_not_sample_is_not_traced(traced: Traced) -> None:
    traced.client.post(INFER, TWO_ROWS, {"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert traced.spans() == []


def test_a_failed_requests_span_has_no_name_from_the_client(traced: Traced) -> None:
    traced.client.post(INFER, b"{")
    traced.client.post("/v2/models/secret-name/infer", TWO_ROWS)
    spans = traced.spans()
    attributes = [span.attributes or {} for span in spans]
    assert [span["http.response.status_code"] for span in attributes] == [400, 404]
    assert ["adaptact.model" in span for span in attributes] == [True, False]
    assert not any("secret-name" in span.to_json() for span in spans)
    # By the conventions a client's mistake is no error of the server.
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}


@pytest.mark.slow
def test_an_error_of_the_server_is_an_error_of_the_span(
    traced: Traced, fresh_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(fresh_engine, "run", broken)
    assert traced.client.post(INFER, TWO_ROWS).status_code == 500
    assert [span.status.status_code for span in traced.spans()] == [StatusCode.ERROR]


def test_the_variables_of_opentelemetry_hold(
    fresh_engine: Engine, changing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    traced = Traced(fresh_engine, changing)
    traced.client.post(INFER, TWO_ROWS)
    traced.client.post(INFER, TWO_ROWS, {"traceparent": f"00-{TRACE}-{SPAN}-01"})
    [span] = traced.spans()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE


def test_only_inference_is_traced(traced: Traced) -> None:
    for path in ("/v2", "/metrics", "/v2/health/ready", INFER):
        traced.client.get(path)
    assert traced.spans() == []


class Collector:
    """An OTLP collector over HTTP that keeps what it gets."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.spans: list[Any] = []


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            collector.paths.append(self.path)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                collector.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collector, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_spans_are_sent_before_the_end_and_the_log_names_them(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE))
    log = tmp_path / "access.jsonl"
    with collecting() as (collector, address):
        arguments = (
            "--models",
            str(tmp_path / "models"),
            "--otlp-endpoint",
            address,
            "--access-log",
            str(log),
        )
        with ServerProcess(*arguments) as server:
            for _ in range(3):
                assert httpx.post(server.url + INFER, json=TWO_ROWS).status_code == 200
            assert server.stop() == 0
    assert set(collector.paths) == {"/v1/traces"}
    assert [span.name for span in collector.spans] == ["POST /v2/models/{model}/infer"] * 3
    text = log.read_text()
    assert all(span.trace_id.hex() in text for span in collector.spans)


@pytest.mark.slow
def test_a_server_whose_collector_is_away_answers_and_ends(tmp_path: Path) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    with ServerProcess("--models", str(tmp_path), "--otlp-endpoint", "http://127.0.0.1:9") as server:
        assert httpx.post(server.url + INFER, json=TWO_ROWS).status_code == 200
        assert server.stop() == 0


@pytest.mark.slow
def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    without = "import sys; sys.modules['opentelemetry.exporter'] = None; from serve.cli import main; main()"
    arguments = ("--models", str(tmp_path), "--port", "0", "--otlp-endpoint", "http://127.0.0.1:9")
    ran = subprocess.run(
        [sys.executable, "-c", without, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert "error: `--otlp-endpoint` needs OpenTelemetry, which is not installed: " in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_nothing_of_it_is_imported_where_it_is_not_wanted() -> None:
    code = "import sys; import serve.rest.app, serve.rest.server; print('opentelemetry.sdk' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False\n"
