"""Streams as the protocol's own client opens them: many messages under way, and one answer for each."""

import asyncio
import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serve.access.control import AccessControl, Authorizer
from serve.access.keys import format_key
from serve.grpc.framing import Buffer
from serve.grpc.infer import PLACES, InferStream
from serve.grpc.messages import message_class
from serve.observe.access_log import AccessLog
from serve.observe.observers import Observers, Telemetry
from tests.serve import models
from tests.serve.grpc.running import LIMIT_BYTES, Running, running
from tests.serve.grpc.test_server import PROTOCOL, request
from tests.serve.turns import ENDLESS, TURNS
from tests.waiting import SECONDS, until

PATH = f"/{PROTOCOL}/ModelStreamInfer"
Reply = message_class("inference.ModelStreamInferResponse")
ROW = np.ones((1, 3), np.float32)


class Asking:
    """A stream of the client's, and what came back."""

    def __init__(self, client: Any, **options: Any) -> None:
        self.client = client
        self._came: queue.Queue[tuple[Any, Any]] = queue.Queue()
        client.start_stream(callback=lambda result, error: self._came.put((result, error)), **options)

    def ask(self, model: str, number: int = 0, **options: Any) -> None:
        array = ROW if model == "double" else np.full(1, number, np.float32)
        given = triton.InferInput("x", list(array.shape), "FP32")
        given.set_data_from_numpy(array)
        self.client.async_stream_infer(model, [given], request_id=str(number), **options)

    def next(self) -> str:
        """The id of the next answer, or its error's words."""
        result, error = self._came.get(timeout=60)
        return str(error) if error else str(result.get_response().id)

    def is_silent(self) -> bool:
        return self._came.empty()


@contextmanager
def asking(where: Running, **options: Any) -> Iterator[Asking]:
    with triton.InferenceServerClient(where.address) as client:
        yield Asking(client, **options)


@contextmanager
def busy(where: Running) -> Iterator[None]:
    """Until the end of the block, the only thread has something else to run."""
    message = message_class("inference.ModelInferRequest")(model_name="turns")
    message.inputs.add(name="x", datatype="INT64", shape=[1]).contents.int64_contents.append(ENDLESS)
    with grpc.insecure_channel(where.address) as channel:
        endless = channel.unary_unary(f"/{PROTOCOL}/ModelInfer").future(message.SerializeToString())
        until(lambda: where.engine.count_pending() == 1)
        yield
        endless.cancel()


@pytest.fixture
def one_thread(tmp_path: Path) -> Iterator[Running]:
    """A server that runs one thing at a time; its models take no time, are joined, or need not end."""
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    models.put(tmp_path, "turns", models.model(TURNS))
    path = models.put(tmp_path, "joined", models.slow_model(turns=5000))
    (path.parents[1] / "config.toml").write_text('batching = "on"\nqueue_target_seconds = 100\n')
    with running(tmp_path, engine_concurrency=1) as started:
        yield started


def counted(where: Running, model: str, code: int) -> float:
    labels = {"model": model, "version": "1" if model else "", "code": str(code)}
    registry = where.engine.metrics.registry
    return registry.get_sample_value("adaptact_inference_requests_total", labels) or 0


def test_messages_that_wait_together_are_joined(one_thread: Running) -> None:
    with asking(one_thread) as stream:
        with busy(one_thread):
            for number in range(20):
                stream.ask("joined", number)
            until(lambda: one_thread.engine.count_pending() == 21)
        assert [stream.next() for _ in range(20)] == [str(number) for number in range(20)]
    (statistics,) = one_thread.engine.own_statistics("joined", "1")
    assert (statistics.inference_count, statistics.execution_count) == (20, 1)


def test_answers_leave_in_the_order_of_their_messages(one_thread: Running) -> None:
    with asking(one_thread) as stream:
        with busy(one_thread):
            stream.ask("joined", 1)
            stream.ask("double", 2)
            until(lambda: counted(one_thread, "double", 0) == 1)
            assert stream.is_silent()
        assert [stream.next(), stream.next()] == ["1", "2"]


@pytest.mark.slow
def test_who_sends_faster_than_is_answered_has_to_wait(one_thread: Running) -> None:
    with asking(one_thread) as stream:
        with busy(one_thread):
            for number in range(5 * PLACES):
                stream.ask("joined", number)
            until(lambda: one_thread.engine.count_pending() == 1 + PLACES)
            time.sleep(0.2)
            assert one_thread.engine.count_pending() == 1 + PLACES
        assert [stream.next() for _ in range(5 * PLACES)] == [str(number) for number in range(5 * PLACES)]


def test_a_stream_message_times_out_and_fails_alone(one_thread: Running) -> None:
    with asking(one_thread) as stream, busy(one_thread):
        stream.ask("joined", 1, timeout=1000)
        # While it waits, or before that where the machine is so busy that the limit cannot be kept.
        assert re.search("were over while it was waiting|than the 0.001 s that it may wait", stream.next())
        stream.ask("nope", 2)
        assert "unknown model" in stream.next()
        stream.ask("double", 3)
        assert stream.next() == "3"


@pytest.mark.slow
def test_the_streams_own_time_is_kept(one_thread: Running) -> None:
    with busy(one_thread), asking(one_thread, stream_timeout=1.0) as stream:
        stream.ask("joined", 1)
        # Whoever looks at the clock first: the server's queue, its stream, or the client's own library.
        reply = stream.next()
        assert any(words in reply for words in ("s were over", "deadline is over", "Deadline Exceeded"))
        until(lambda: one_thread.engine.count_pending() == 1)


def test_a_client_that_goes_away_ends_what_it_asked(
    one_thread: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with busy(one_thread):
        with asking(one_thread) as stream:
            for number in range(20):
                stream.ask("joined", number)
            until(lambda: one_thread.engine.count_pending() == 21)
            stream.client.stop_stream(cancel_requests=True)
            until(lambda: one_thread.engine.count_pending() == 1)
        until(lambda: counted(one_thread, "joined", 1) == 20)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


VANISHING = """
import sys, time
import grpc
from tests.serve.grpc.test_server import request
from tests.serve.grpc.test_infer import PATH

def messages():
    while True:
        yield request(rows=50_000).SerializeToString()

with grpc.insecure_channel(sys.argv[1]) as channel:
    next(channel.stream_stream(PATH)(messages()))
    print("reads no more", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_vanished_stream_client_leaves_nothing_behind(
    one_thread: Running, caplog: pytest.LogCaptureFixture
) -> None:
    command, before = [sys.executable, "-c", VANISHING, one_thread.address], one_thread.on_loop(tasks())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "reads no more\n"
        until(lambda: stands_still(lambda: counted(one_thread, "double", 0)))
        client.kill()
    until(lambda: one_thread.on_loop(tasks()) == before)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def stands_still(number: Callable[[], float]) -> bool:
    before = number()
    time.sleep(0.5)
    return number() == before


async def tasks() -> int:
    return len(asyncio.all_tasks())


def test_bytes_that_are_no_message_are_answered_in_words(one_thread: Running) -> None:
    good = request(id="7").SerializeToString()
    with grpc.insecure_channel(one_thread.address) as channel:
        bytes_in = iter([b"\xff", good])
        replies = [Reply.FromString(data) for data in channel.stream_stream(PATH)(bytes_in, timeout=60)]
    assert "the message is no `ModelInferRequest`" in replies[0].error_message
    assert (replies[1].error_message, replies[1].infer_response.id) == ("", "7")
    assert counted(one_thread, "", 3) == 1


def test_each_message_counts_as_a_request_of_its_own(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE))
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("line", "k", frozenset({"infer"}), 2))
    kept = InMemorySpanExporter()
    observers = Observers(AccessLog(tmp_path / "log"), Telemetry(kept))
    headers = {"authorization": "Bearer k", "x-request-id": "job-1"}
    with running(tmp_path / "models", access=AccessControl(Authorizer(keys)), observers=observers) as started:
        with asking(started, headers=headers) as stream:
            for number in range(3):
                stream.ask("double", number)
            answers = [stream.next() for _ in range(3)]
            stream.client.stop_stream()
        assert counted(started, "double", 0) == 2
    assert answers[:2] == ["0", "1"]
    assert "more than 2 requests a second" in answers[2]
    observers.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    logged = {(line["path"], line["caller"], line["request_id"]) for line in lines}
    assert logged == {(PATH, "line", "job-1")}
    assert sorted(line["status"] for line in lines) == [0, 0, 8]
    spans = kept.get_finished_spans()
    assert [(span.attributes or {})["rpc.method"] for span in spans] == ["ModelStreamInfer"] * 2


def test_a_stop_answers_what_was_asked_and_ends_what_would_last(one_thread: Running) -> None:
    watched = HealthCheckRequest().SerializeToString()
    with asking(one_thread) as stream, grpc.insecure_channel(one_thread.address) as channel:
        watching = channel.unary_stream("/grpc.health.v1.Health/Watch")(watched, timeout=60)
        next(watching)
        with busy(one_thread):
            stream.ask("joined", 1)
            until(lambda: one_thread.engine.count_pending() == 2)
            began = time.monotonic()
            stopping = threading.Thread(target=lambda: one_thread.on_loop(one_thread.server.stop(25)))
            stopping.start()
            last = HealthCheckResponse.FromString(next(watching))
            assert last.status == 2
            assert list(watching) == []
        assert stream.next() == "1"
        assert "the server is about to end" in stream.next()
        stopping.join()
        assert time.monotonic() - began < 20


def test_a_stream_that_comes_at_the_end_is_not_begun() -> None:
    async def begun() -> bool:
        async def coming() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        async def nothing(data: Buffer) -> Any:
            pytest.fail("nothing came")

        ending = asyncio.Event()
        ending.set()
        async with asyncio.timeout(SECONDS):
            return await InferStream(nothing, nothing, LIMIT_BYTES).run(coming(), ending)

    assert not asyncio.run(begun())


def test_stream_messages_in_progress_have_a_common_limit() -> None:
    async def largest(messages: list[bytes]) -> int:
        go, under_way, most = asyncio.Event(), 0, 0

        async def answer(data: Buffer) -> bytes:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await go.wait()
            under_way -= 1
            return bytes(data)

        async def coming() -> AsyncIterator[bytes]:
            for message in messages:
                yield message

        sent: list[bytes] = []

        async def send(data: bytes) -> None:
            sent.append(data)

        task = asyncio.create_task(InferStream(answer, send, LIMIT_BYTES).run(coming(), asyncio.Event()))
        for _ in range(10 * PLACES):
            await asyncio.sleep(0)
        go.set()
        assert await task
        assert sent == messages
        return most

    assert asyncio.run(largest([bytes([n]) * LIMIT_BYTES for n in range(4)])) == 1
    assert asyncio.run(largest([bytes([n]) * (LIMIT_BYTES // 4) for n in range(8)])) == 3
    assert asyncio.run(largest([bytes([n]) for n in range(200)])) == PLACES
