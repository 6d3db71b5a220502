"""The gRPC server as any client sees it, without the protocol's own client in between."""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from serve.access.control import AccessControl, AuditLog, Authorizer
from serve.access.keys import format_key
from serve.grpc.health import HEALTH
from serve.grpc.messages import Message, message_class
from serve.grpc.server import CALLS_AT_ONCE
from serve.observe.access_log import SAFE_ID, AccessLog
from serve.observe.observers import Observers
from tests.serve import models
from tests.serve.grpc.running import LIMIT_BYTES, Running, running
from tests.serve.process import ServerProcess, free_port
from tests.waiting import SECONDS, until

PROTOCOL = "inference.GRPCInferenceService"
Request = message_class("inference.ModelInferRequest")


def call(where: Running, verb: str, data: bytes, service: str = PROTOCOL, **options: Any) -> bytes:
    with grpc.insecure_channel(where.address) as channel:
        answer: bytes = channel.unary_unary(f"/{service}/{verb}")(
            data, timeout=options.pop("timeout", 20), **options
        )
    return answer


def request(model: str = "double", rows: int = 1, **fields: Any) -> Message:
    made = Request(model_name=model, **fields)
    made.inputs.add(name="x", datatype="FP32", shape=[rows, 3] if model == "double" else [rows])
    made.raw_input_contents.append(np.ones(made.inputs[0].shape, np.float32).tobytes())
    return made


def answer(where: Running, message: Message, **options: Any) -> Message:
    return message_class("inference.ModelInferResponse").FromString(
        call(where, "ModelInfer", message.SerializeToString(), **options)
    )


@pytest.fixture
def alive(grpc_server: Running) -> Iterator[Running]:
    """The server; whatever was sent, it answers right after."""
    yield grpc_server
    array = np.frombuffer(answer(grpc_server, request()).raw_output_contents[0], np.float32)
    assert array.tolist() == [2, 2, 2]


def code(raised: Any) -> grpc.StatusCode:
    return raised.value.code()


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff", 2**18 * b"\x2a\x00", b"\x0a\x02\xff\xfe"])
def test_bytes_that_are_no_message_are_refused(alive: Running, data: bytes) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        call(alive, "ModelInfer", data)
    assert code(raised) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_request_without_tensors_is_small(alive: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.grpc.handlers.LONGEST_BYTES", 100)
    with pytest.raises(grpc.RpcError, match="has `102` bytes, of at most `100`") as raised:
        call(alive, "ServerLive", 51 * b"\x7a\x00")
    assert code(raised) is grpc.StatusCode.INVALID_ARGUMENT
    call(alive, "ServerLive", 50 * b"\x7a\x00")


def test_a_message_beyond_the_limit_is_refused(alive: Running) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        answer(alive, request(rows=LIMIT_BYTES // 12 + 1))
    assert code(raised) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_message_that_grows_beyond_the_limit_is_refused(alive: Running) -> None:
    data = request().SerializeToString() + bytes(20 * LIMIT_BYTES)
    assert len(gzip.compress(data, 1)) < LIMIT_BYTES
    with pytest.raises(grpc.RpcError) as raised:
        call(alive, "ModelInfer", data, compression=grpc.Compression.Gzip)
    assert code(raised) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_verb_or_service_that_is_not_there_is_unimplemented(alive: Running) -> None:
    for verb, service in (
        ("Nope", PROTOCOL),
        ("CudaSharedMemoryStatus", PROTOCOL),
        ("Infer", "other.Service"),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            call(alive, verb, b"", service)
        assert code(raised) is grpc.StatusCode.UNIMPLEMENTED


def test_the_calls_own_deadline_is_kept(alive: Running) -> None:
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        answer(alive, request("slow"), timeout=0.02)
    assert code(raised) is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: alive.engine.count_pending() == 0)
    assert time.monotonic() - began < 10


def test_a_call_that_is_given_up_ends_its_run(alive: Running) -> None:
    with grpc.insecure_channel(alive.address) as channel:
        under_way = channel.unary_unary(f"/{PROTOCOL}/ModelInfer").future(
            request("slow", rows=200).SerializeToString()
        )
        wait_until(lambda: alive.engine.count_pending() > 0)
        under_way.cancel()
    wait_until(lambda: alive.engine.count_pending() == 0)


def wait_until(true: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.slow
def test_a_full_queue_says_when_to_come_again(tmp_path: Path) -> None:
    path = models.put(tmp_path, "slow", models.slow_model(turns=300_000))
    (path.parents[1] / "config.toml").write_text('queue_length = 1\nbatching = "off"\n')
    with running(tmp_path, engine_concurrency=1) as started:
        with grpc.insecure_channel(started.address) as channel:
            ask = channel.unary_unary(f"/{PROTOCOL}/ModelInfer")
            calls = [ask.future(request("slow").SerializeToString(), timeout=SECONDS) for _ in range(12)]
            errors = [each.exception() for each in calls]
        refused = [error for error in errors if error is not None]
        assert 0 < len(refused) < 12
        assert {each.code() for each in refused} == {grpc.StatusCode.UNAVAILABLE}
        trailing = dict(refused[0].trailing_metadata())
        assert int(trailing["grpc-retry-pushback-ms"]) > 0


@pytest.mark.slow
def test_health_is_told_now_and_when_it_changes(tmp_path: Path) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    with running(tmp_path) as started:
        for name, status in (("", 1), (PROTOCOL, 1), ("double", 1)):
            reply = call(started, "Check", HealthCheckRequest(service=name).SerializeToString(), HEALTH)
            assert HealthCheckResponse.FromString(reply).status == status
        with pytest.raises(grpc.RpcError) as raised:
            call(started, "Check", HealthCheckRequest(service="nope").SerializeToString(), HEALTH)
        assert code(raised) is grpc.StatusCode.NOT_FOUND
        with grpc.insecure_channel(started.address) as channel:
            request = HealthCheckRequest(service="double").SerializeToString()
            replies = channel.unary_stream(f"/{HEALTH}/Watch")(request, timeout=SECONDS)
            assert HealthCheckResponse.FromString(next(replies)).status == 1
            started.on_loop(started.engine.unload("double"))
            assert HealthCheckResponse.FromString(next(replies)).status == 2
            replies.cancel()


@pytest.mark.slow
def test_calls_beyond_the_limit_are_exhausted(alive: Running) -> None:
    """gRPC would cancel some of so many that come at once."""
    surplus, codes = 200, list[grpc.StatusCode]()

    async def watch(channel: grpc.aio.Channel, everybody: asyncio.Barrier) -> None:
        health = channel.unary_stream(f"/{HEALTH}/Watch")(HealthCheckRequest().SerializeToString())
        try:
            await health.read()
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())
        await everybody.wait()  # until then the others keep their places
        health.cancel()

    async def watch_all() -> None:
        everybody = asyncio.Barrier(CALLS_AT_ONCE + surplus)
        async with grpc.aio.insecure_channel(alive.address) as channel:
            await asyncio.gather(*(watch(channel, everybody) for _ in range(CALLS_AT_ONCE + surplus)))

    asyncio.run(asyncio.wait_for(watch_all(), 120))
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED] * surplus
    until(lambda: _is_served(alive))


def _is_served(where: Running) -> bool:
    try:
        answer(where, request())
    except grpc.RpcError:  # while the calls above end
        return False
    return True


def test_roles_are_enforced_and_administration_is_audited(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE))
    keys = tmp_path / "keys.toml"
    keys.write_text(
        format_key("line", "k", frozenset({"infer"}), 3) + "\n" + format_key("ops", "a", frozenset({"admin"}))
    )
    audit = AuditLog(tmp_path / "audit.log")
    unload = message_class("inference.RepositoryModelUnloadRequest")(model_name="double").SerializeToString()
    data = request().SerializeToString()
    line, ops = ([("authorization", f"Bearer {key}")] for key in ("k", "a"))
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    with running(tmp_path / "models", access=AccessControl(Authorizer(keys), audit)) as started:
        call(started, "ServerLive", b"")
        assert refused(started, "ModelInfer", data) is grpc.StatusCode.UNAUTHENTICATED
        assert refused(started, "ModelInfer", data, metadata=ops) is grpc.StatusCode.PERMISSION_DENIED
        assert (
            refused(started, "RepositoryModelUnload", unload, metadata=line)
            is grpc.StatusCode.PERMISSION_DENIED
        )
        call(started, "ModelInfer", data, metadata=line)
        codes = {refused(started, "ModelInfer", data, metadata=line) for _ in range(20)}
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes
        call(started, "RepositoryModelUnload", unload, metadata=ops)
        assert started.engine.names() == []
        refused(started, "RepositoryModelUnload", unload.replace(b"double", b"absent"), metadata=ops)
        wrong = [("authorization", "Bearer wrong")]
        assert refused(started, "RepositoryModelUnload", unload, metadata=wrong) is unauthenticated
    lines = [json.loads(text) for text in (tmp_path / "audit.log").read_text().splitlines()]
    assert [(each["caller"], each["action"], each["status"]) for each in lines] == [
        ("line", "gRPC RepositoryModelUnload double", 7),
        ("ops", "gRPC RepositoryModelUnload double", None),
        ("ops", "gRPC RepositoryModelUnload double", 0),
        ("ops", "gRPC RepositoryModelUnload absent", None),
        ("ops", "gRPC RepositoryModelUnload absent", 5),
        ("127.0.0.1", "gRPC RepositoryModelUnload double", 16),
    ]
    audit.close()


def test_audit_and_access_log_share_the_request_id(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE))
    audit, log = AuditLog(tmp_path / "audit.log"), AccessLog(tmp_path / "access.log")
    asked = message_class("inference.RepositoryModelLoadRequest")(model_name="double").SerializeToString()
    with running(
        tmp_path / "models", access=AccessControl(audit_log=audit), observers=Observers(log)
    ) as started:
        call(started, "RepositoryModelLoad", asked, metadata=[("x-request-id", "job-71")])
        call(started, "RepositoryModelLoad", asked, metadata=[("x-request-id", "not safe")])
    audit.close()
    log.close()
    audited, logged = (
        [json.loads(line)["request_id"] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("audit.log", "access.log")
    )
    assert audited == [each for each in logged for _ in range(2)]
    assert audited[0] == "job-71"
    assert SAFE_ID.fullmatch(audited[-1].encode())


def refused(where: Running, *arguments: Any, **options: Any) -> grpc.StatusCode:
    """The status code of a call, be it refused or not."""
    try:
        call(where, *arguments, **options)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


@pytest.mark.slow
def test_a_stop_lets_what_runs_be_answered(tmp_path: Path) -> None:
    models.put(tmp_path, "slow", models.slow_model(turns=300_000))
    with running(tmp_path) as started, grpc.insecure_channel(started.address) as channel:
        under_way = channel.unary_unary(f"/{PROTOCOL}/ModelInfer").future(request("slow").SerializeToString())
        wait_until(lambda: started.engine.count_pending() > 0)
        stopping = threading.Thread(target=lambda: started.on_loop(started.server.stop(20)))
        stopping.start()
        assert len(under_way.result(SECONDS)) > 0
        stopping.join()


def test_calls_are_counted_by_their_codes(tmp_path: Path) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    with running(tmp_path) as started:
        for message in (request(), request(), request(rows=0, id="a" * 100)):
            answer(started, message)
        for wrong in (request("nope"), request(model_version="7")):
            with pytest.raises(grpc.RpcError):
                answer(started, wrong)
        registry = started.engine.metrics.registry
        labels = {"model": "double", "version": "1", "code": "0"}
        assert registry.get_sample_value("adaptact_inference_requests_total", labels) == 3
        unknown = {"model": "", "version": "", "code": "5"}
        assert registry.get_sample_value("adaptact_inference_requests_total", unknown) == 2


@pytest.mark.slow
def test_the_command_opens_both_doors_and_closes_them(repository: Path) -> None:
    port = free_port()
    with ServerProcess("--models", str(repository), "--grpc-port", str(port)) as process:
        assert f"gRPC on port {port} serves" in process.first_line
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(SECONDS)
            data = request().SerializeToString()
            assert channel.unary_unary(f"/{PROTOCOL}/ModelInfer")(data, timeout=SECONDS)
        assert httpx.get(f"{process.url}/v2/models/double/ready").status_code == 200
        assert process.stop() == 0
