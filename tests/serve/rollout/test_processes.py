"""Experiments in real servers of two workers: all of them agree, and what was noted or acknowledged stays."""

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from serve.experiments.store.database import FILE
from serve.grpc.messages import message_class
from tests.serve import models
from tests.serve.grpc.test_server import PROTOCOL
from tests.serve.process import COMMAND, ServerProcess, free_port
from tests.serve.rollout.variants import TRIPLE
from tests.serve.workers.running import WORKERS, children, connection_counts
from tests.waiting import SECONDS, until

DEFINITION = """experiments:
  - name: exp
    model: digits
    control: {name: control, version: 1}
    candidates: [{name: candidate, version: 2}]
    stages: {shadow_share: 0, steps: [100]}
    metrics: [{name: bought, kind: binary, is_primary: true}]
  - name: slow
    model: mirrored
    control: {name: control, version: 1}
    candidates: [{name: candidate, version: 2}]
    stages: {auto_advance: false}
"""
SLOW = models.LOOP.format(turns=100_000).replace("float[N]", "float[N, 3]")
INFER = "/v2/models/digits/infer"
EXPERIMENT = "/adaptact/v1/experiments/exp"
FEEDBACK = "/adaptact/v1/feedback"
VARIANT = "x-adaptact-variant"
REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
UNITS = [f"unit-{number}" for number in range(24)]

pytestmark = pytest.mark.slow


class Folder:
    """What a server of experiments needs, which outlives it."""

    def __init__(self, path: Path) -> None:
        self.models, self.store, self.definitions = path / "models", path / "store", path / "exp.yaml"
        for version, text in (("1", models.DOUBLE), ("2", TRIPLE)):
            models.put(self.models, "digits", models.model(text), version)
        for version, text in (("1", models.DOUBLE), ("2", SLOW)):
            models.put(self.models, "mirrored", models.model(text), version)
        self.definitions.write_text(DEFINITION)

    @property
    def arguments(self) -> list[str]:
        return [
            *("--models", str(self.models), "--workers", str(WORKERS)),
            *("--experiments", str(self.definitions), "--experiments-store", str(self.store)),
        ]

    @contextmanager
    def serve(self, *arguments: str) -> Iterator[ServerProcess]:
        with ServerProcess(*self.arguments, *arguments) as server:
            yield server

    def select(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.store / FILE)) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@contextmanager
def clients(server: ServerProcess) -> Iterator[list[httpx.Client]]:
    """A client with one connection to each worker, to which the supervisor sends them in turn."""
    with ExitStack() as closing:
        made = [httpx.Client(base_url=server.url, timeout=SECONDS) for _ in range(WORKERS)]
        for client in made:
            closing.enter_context(client)
            assert client.get("/v2/health/live").status_code == 200
        assert connection_counts(server) == [1] * WORKERS
        yield made


def act(client: httpx.Client, name: str) -> None:
    client.post(f"{EXPERIMENT}:{name}", json={}).raise_for_status()


def variant(client: httpx.Client, unit: str) -> str:
    answer = client.post(INFER, json=REQUEST, headers={"x-adaptact-unit": unit})
    return str(answer.raise_for_status().headers.get(VARIANT, "none"))


def start(made: list[httpx.Client]) -> None:
    """Start the experiment through one worker; every worker follows."""
    let_control_answer(made[0], "digits")
    act(made[0], "start")
    assert all(map(takes_part, made))


def let_control_answer(client: httpx.Client, model: str) -> None:
    alias = f"/adaptact/v1/models/{model}/aliases/stable"
    client.put(alias, json={"version": "1"}).raise_for_status()


def takes_part(client: httpx.Client) -> bool:
    return variant(client, "first") != "none"


def test_workers_agree_on_each_unit_before_and_after_a_restart(folder: Folder) -> None:
    with folder.serve() as server, clients(server) as made:
        start(made)
        first = [variant(made[0], unit) for unit in UNITS]
        assert first == [variant(made[1], unit) for unit in UNITS]
        assert set(first) == {"control", "candidate"}
        assert server.stop() == 0
    # What was noted is written at the end.
    assert folder.select("SELECT count(*) FROM exposures") == [(len(UNITS) + 1,)]
    with folder.serve() as server, clients(server) as made:
        assert first == [variant(client, unit) for client, unit in zip(cycle(made), UNITS, strict=False)]
        assert server.stop() == 0
    assert folder.select("SELECT count(*) FROM exposures WHERE switches > 0") == [(0,)]


def test_an_act_through_one_worker_reaches_the_other(folder: Folder) -> None:
    with folder.serve() as server, clients(server) as made:
        start(made)
        act(made[1], "stop")
        assert not any(map(takes_part, made))


def test_a_stop_waits_for_mirrored_runs(folder: Folder) -> None:
    with folder.serve("--stop-linger-seconds", "0") as server, clients(server) as made:
        let_control_answer(made[0], "mirrored")
        made[0].post("/adaptact/v1/experiments/slow:start", json={}).raise_for_status()
        reply = partial(made[0].post, INFER.replace("digits", "mirrored"), json=REQUEST)
        until(lambda: VARIANT in reply().headers)
        assert server.stop() == 0
    assert folder.select("SELECT status FROM inferences WHERE is_shadow = 1") == [(0,)]


def test_grpc_assigns_as_http_does_and_each_message_of_a_stream_by_itself(folder: Folder) -> None:
    port = free_port()
    with folder.serve("--grpc-port", str(port)) as server, clients(server) as made:
        start(made)
        expected = [variant(made[0], unit) for unit in UNITS[:6]]
        found, streamed, trailers = asyncio.run(ask_over_grpc(port, UNITS[:6]))
        assert [reply["adaptact_variant"] for reply in found] == expected
        assert [reply["adaptact_variant"] for reply in streamed] == expected
        assert [each[VARIANT] for each in trailers] == expected
        assert [each["x-adaptact-request-id"] for each in trailers] == [
            reply["adaptact_request_id"] for reply in found
        ]
        versions = {"control": "1", "candidate": "2"}
        answered = [reply["version"] for reply in (*found, *streamed)]
        assert answered == [versions[each] for each in expected * 2]
        identifiers = [reply["adaptact_request_id"] for reply in (*found, *streamed)]
        assert len(set(identifiers)) == len(identifiers)


async def ask_over_grpc(port: int, units: list[str]) -> tuple[list[dict[str, str]], ...]:
    """Parameters and version of the replies to the units, asked one by one, and in one stream.

    Also the metadata behind the answers to the former.
    """
    requests = [grpc_request(unit) for unit in units]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = channel.unary_unary(f"/{PROTOCOL}/ModelInfer")
        calls = [infer(each) for each in requests]
        alone = [message_class("inference.ModelInferResponse").FromString(await call) for call in calls]
        trailers = [dict(await call.trailing_metadata()) for call in calls]
        stream = channel.stream_stream(f"/{PROTOCOL}/ModelStreamInfer")(iter(requests))
        reply = message_class("inference.ModelStreamInferResponse")
        streamed = [reply.FromString(data).infer_response async for data in stream]
    return [read_parameters(each) for each in alone], [read_parameters(each) for each in streamed], trailers


def grpc_request(unit: str) -> bytes:
    request = message_class("inference.ModelInferRequest")(model_name="digits")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 3]).contents.fp32_contents.extend([1, 2, 3])
    request.parameters["unit_id"].string_param = unit
    return bytes(request.SerializeToString())


def read_parameters(reply: Any) -> dict[str, str]:
    parameters = {name: value.string_param for name, value in reply.parameters.items()}
    return {**parameters, "version": reply.model_version}


def test_acknowledged_feedback_survives_the_kill_of_its_worker(folder: Folder) -> None:
    with folder.serve() as server, clients(server) as made:
        for number in range(20):
            outcome = {"unit": f"unit-{number}", "metric": "bought", "value": 1}
            made[number % WORKERS].post(FEEDBACK, json=outcome).raise_for_status()
        for worker in children(server):
            worker.send_signal(signal.SIGKILL)
        server.stop()
    assert folder.select("SELECT count(*), min(value) FROM outcomes") == [(20, 1.0)]


@pytest.mark.parametrize("broken", ["definition", "store"])
def test_workers_that_die_are_replaced_whatever_became_of_the_experiments(
    folder: Folder, broken: str
) -> None:
    with folder.serve() as server, clients(server) as made:
        start(made)
        if broken == "definition":
            folder.definitions.write_text(DEFINITION.replace("binary", "binray"))
        else:
            (folder.store / "unit.key").write_text("no key at all")
        before = children(server)
        for worker in before:
            worker.send_signal(signal.SIGKILL)
        until(lambda: len(set(children(server)) - set(before)) == WORKERS)
        answer = httpx.post(server.url + INFER, json=REQUEST, timeout=SECONDS).raise_for_status()
        assert (VARIANT in answer.headers) == (broken == "definition")


@pytest.mark.parametrize("broken", ["definition", "store", "missing file"])
def test_a_start_that_cannot_be_says_why_in_one_line(folder: Folder, broken: str) -> None:
    if broken == "definition":
        folder.definitions.write_text(DEFINITION.replace("binary", "binray"))
        expected = f"{folder.definitions}:7:36: `metrics[0].kind`"
    elif broken == "store":
        folder.store.mkdir()
        (folder.store / FILE).write_bytes(b"no database at all" * 100)
        expected = FILE
    else:
        folder.definitions.unlink()
        expected = str(folder.definitions)
    status, text = asyncio.run(run(*folder.arguments, "--port", "0"))
    assert status == 1
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("error:")]
    assert expected in line


async def run(*arguments: str) -> tuple[int | None, str]:
    """The exit status of the server, and what it wrote to standard error."""
    process = await asyncio.create_subprocess_exec(
        str(COMMAND), *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    _, text = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode, text.decode()
