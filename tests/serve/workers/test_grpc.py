"""gRPC with several workers: its connections are distributed, limited and ended as HTTP's."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from adaptact.cores import available_cores
from serve.grpc.messages import message_class
from tests.serve import models
from tests.serve.grpc.test_server import PROTOCOL, request
from tests.serve.process import ServerProcess, free_port
from tests.serve.turns import ENDLESS, TURNS
from tests.serve.workers.running import WORKERS, children, connections, workers
from tests.waiting import SECONDS, until

GRACE_SECONDS = 60
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    models.put(folder, "double", models.model(models.DOUBLE))
    models.put(folder, "turns", models.model(TURNS))
    path = models.put(folder, "slow", models.slow_model(turns=1_000_000))
    (path.parents[1] / "config.toml").write_text('batching = "off"\n')
    return folder


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[ServerProcess, int]]:
    port = free_port()
    with workers(folder, "--grpc-port", str(port), *arguments) as server:
        yield server, port


def infer(channel: grpc.Channel, model: str = "double") -> Any:
    data = request(model).SerializeToString()
    return channel.unary_unary(f"/{PROTOCOL}/ModelInfer").future(data, timeout=60)


@contextmanager
def channels(port: int, count: int) -> Iterator[list[grpc.Channel]]:
    with ExitStack() as closing:
        made = []
        for _ in range(count):
            channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=OWN_CONNECTION)
            made.append(closing.enter_context(channel))
            infer(channel).result()
        yield made


def counts(server: ServerProcess, port: int) -> list[int]:
    return [
        sum(connection.laddr.port == port for connection in child.net_connections("tcp"))
        for child in children(server)
    ]


def count_waiting(server: ServerProcess, model: str = "slow") -> float:
    """How many requests of the model wait for those that run."""
    text = httpx.get(f"{server.url}/metrics", timeout=SECONDS).text
    (line,) = [
        line for line in text.splitlines() if line.startswith(f'adaptact_queue_depth{{model="{model}"')
    ]
    return float(line.split()[-1])


@pytest.mark.slow
def test_grpc_connections_are_distributed_evenly(folder: Path) -> None:
    with serving(folder) as (server, port):
        with channels(port, 2 * WORKERS):
            assert counts(server, port) == [2] * WORKERS
        until(lambda: counts(server, port) == [0] * WORKERS)


@pytest.mark.slow
def test_a_stopped_worker_keeps_no_grpc_connection(folder: Path) -> None:
    with serving(folder) as (server, port):
        victim, _ = children(server)
        victim.send_signal(signal.SIGSTOP)
        with channels(port, WORKERS):
            pass


@pytest.mark.slow
def test_grpc_counts_among_the_connections(folder: Path) -> None:
    with (
        serving(folder, "--connections", "2") as (server, port),
        connections(server, 2),
        grpc.insecure_channel(f"127.0.0.1:{port}", options=OWN_CONNECTION) as channel,
    ):
        assert infer(channel).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.slow
def test_one_connection_uses_the_cores_of_all_workers(folder: Path) -> None:
    with serving(folder, "--threads", "1") as (server, port), channels(port, 1) as (channel,):
        endless = message_class("inference.ModelInferRequest")(model_name="turns")
        endless.inputs.add(name="x", datatype="INT64", shape=[1]).contents.int64_contents.append(ENDLESS)
        method, data = channel.unary_unary(f"/{PROTOCOL}/ModelInfer"), endless.SerializeToString()
        calls = [method.future(data) for _ in range(available_cores())]
        with pytest.raises(grpc.RpcError):  # it waits in vain
            method(data, timeout=2)
        until(lambda: count_waiting(server, "turns") == 0)
        for call in calls:
            call.cancel()


@pytest.mark.slow
def test_a_stop_answers_calls_and_waits_for_no_idle_client(folder: Path) -> None:
    options = ("--threads", "1", "--concurrency", "1", "--stop-grace-seconds", str(GRACE_SECONDS))
    with serving(folder, *options) as (server, port), channels(port, 2 * WORKERS) as clients:
        under_way = [infer(client, "slow") for client in clients]
        until(lambda: count_waiting(server) == WORKERS)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < GRACE_SECONDS
        assert [call.code() for call in under_way] == [grpc.StatusCode.OK] * len(clients)
