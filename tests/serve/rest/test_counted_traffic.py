"""Known traffic, over both doors, against what the real server says of it in each place where it counts."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.grpc.messages import message_class
from tests.serve import models
from tests.serve.process import ServerProcess, free_port
from tests.serve.turns import ENDLESS, TURNS, endless_request, send_turns, wait_until_running
from tests.serve.turns import INFER as TURNS_INFER
from tests.waiting import until

INFER = "/v2/models/double/infer"
WAITED_SECONDS = 0.1
GRPC = "/inference.GRPCInferenceService/ModelInfer"

Key = tuple[str, frozenset[tuple[str, str]]]


def rows(count: int) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [count, 3], "datatype": "FP32", "data": [1.0] * 3 * count}]}


@dataclass
class Busy:
    """A server whose traffic was made, and is over."""

    server: ServerProcess
    log: Path
    samples: dict[Key, float]

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples.get(key(name, **labels))


def call(channel: grpc.Channel, rows: int, model: str = "double") -> None:
    made = message_class("inference.ModelInferRequest")(model_name=model)
    made.inputs.add(name="x", datatype="FP32", shape=[rows, 3])
    made.raw_input_contents.append(np.ones((rows, 3), np.float32).tobytes())
    channel.unary_unary(GRPC)(made.SerializeToString(), timeout=60, metadata=(("x-request-id", "call-7"),))


def turns(count: int) -> bytes:
    made = message_class("inference.ModelInferRequest")(model_name="turns")
    made.inputs.add(name="x", datatype="INT64", shape=[1])
    made.raw_input_contents.append(np.int64(count).tobytes())
    written: bytes = made.SerializeToString()
    return written


def ask_both_doors(server: ServerProcess, channel: grpc.Channel) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for count in (2, 2, 5):
            assert client.post(INFER, json=rows(count)).status_code == 200
        instances = {"instances": [[1, 2, 3]] * 4}
        assert client.post("/v1/models/double:predict", json=instances).status_code == 200
        assert client.post(INFER, content=b"{").status_code == 400
        assert client.post(INFER, json={"inputs": []}).status_code == 400
        assert client.post("/v2/models/secret-name/infer", json={}).status_code == 404
    call(channel, 3)
    for model, count in (("double", 0), ("secret-name", 1)):
        if count:
            with pytest.raises(grpc.RpcError):
                call(channel, count, model)
        else:
            call(channel, count, model)


def overload(server: ServerProcess, channel: grpc.Channel) -> None:
    """Those who go away, have no time, or find the queue full; and those who are in their way."""
    with endless_request(server):
        pass
    used = server.processor_seconds()
    under_way = channel.unary_unary(GRPC).future(turns(ENDLESS))
    wait_until_running(server, used)
    under_way.cancel()
    until(lambda: count(server, CANCELED) == 2)
    with ThreadPoolExecutor(1) as pool:
        with endless_request(server):
            assert send_turns(server, 0, timeout=1000)[0] == 504
            second = pool.submit(send_turns, server, 0)
            until(lambda: count(server, WAITING) == 1)
            assert send_turns(server, 0)[0] == 503
            time.sleep(WAITED_SECONDS)
        assert second.result()[0] == 200


def line_of(log: Path, request_id: str) -> dict[str, Any]:
    """The request's line, which is written once the answer is."""

    def find_lines() -> list[dict[str, Any]]:
        lines = map(json.loads, log.read_text().splitlines() if log.exists() else ())
        return [line for line in lines if line["request_id"] == request_id]

    until(find_lines)
    return find_lines()[0]


def key(name: str, **labels: str) -> Key:
    return name, frozenset(labels.items())


TURNS_OF = {"model": "turns", "version": "1"}
CANCELED = key("nv_inference_request_failure", **TURNS_OF, reason="CANCELED")
WAITING = key("nv_inference_pending_request_count", **TURNS_OF)


def count(server: ServerProcess, of: Key) -> float:
    return samples(server).get(of, 0)


def samples(server: ServerProcess) -> dict[Key, float]:
    text = httpx.get(server.url + "/metrics", timeout=60).text
    return {
        key(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    folder = tmp_path_factory.mktemp("counted")
    models.put(folder / "models", "double", models.model(models.DOUBLE))
    models.put(folder / "models", "turns", models.model(TURNS))
    port = free_port()
    log = folder / "access.jsonl"
    options = ("--concurrency", "1", "--queue-length", "1", "--batching", "off", "--triton-metrics")
    doors = ("--grpc-port", str(port), "--access-log", str(log))
    with ServerProcess("--models", str(folder / "models"), *options, *doors) as server:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask_both_doors(server, channel)
            overload(server, channel)
        yield Busy(server, log, samples(server))


@pytest.mark.slow
def test_requests_are_one_each_by_model_version_and_code(busy: Busy) -> None:
    counts = {
        (labels["model"], labels["code"]): value
        for name, pairs in busy.samples
        for labels, value in ((dict(pairs), busy.samples[name, pairs]),)
        if name == "adaptact_inference_requests_total"
    }
    assert counts == {
        ("double", "200"): 4,
        ("double", "400"): 2,
        ("double", "0"): 2,
        ("", "404"): 1,
        ("", "5"): 1,
        ("turns", "200"): 1,
        ("turns", "499"): 2,
        ("turns", "1"): 1,
        ("turns", "503"): 1,
        ("turns", "504"): 1,
    }


def test_tritons_names_count_as_triton_does(busy: Busy) -> None:
    of = {"model": "double", "version": "1"}
    assert busy.value("nv_inference_request_success", **of) == 6
    assert busy.value("nv_inference_request_failure", **of, reason="OTHER") == 2
    assert busy.value("nv_inference_count", **of) == 2 + 2 + 5 + 4 + 3 + 0
    assert busy.value("nv_inference_exec_count", **of) == 6
    assert busy.value("nv_inference_request_success", **TURNS_OF) == 1
    assert busy.value("nv_inference_request_failure", **TURNS_OF, reason="REJECTED") == 2
    assert busy.samples[CANCELED] == 3
    assert busy.samples[WAITING] == 0


def test_what_was_turned_away_is_counted_by_what_for(busy: Busy) -> None:
    counts = {
        dict(pairs)["reason"]: value
        for (name, pairs), value in busy.samples.items()
        if "rejected_total" in name
    }
    assert {reason: value for reason, value in counts.items() if value} == {"queue_full": 1, "deadline": 1}


def test_no_label_holds_what_a_client_chose(busy: Busy) -> None:
    assert "secret-name" not in {value for _, pairs in busy.samples for _, value in pairs}


def test_statistics_say_the_same(busy: Busy) -> None:
    reply = httpx.get(busy.server.url + "/v2/models/stats").json()["model_stats"]
    double, slow = (next(each for each in reply if each["name"] == name) for name in ("double", "turns"))
    assert (double["inference_count"], double["execution_count"]) == (16, 6)
    stats = double["inference_stats"]
    # A body that cannot be read never reaches the model.
    assert (stats["success"]["count"], stats["fail"]["count"]) == (6, 1)
    sizes = {batch["batch_size"]: batch["compute_infer"]["count"] for batch in double["batch_stats"]}
    assert sizes == {0: 1, 2: 2, 3: 1, 4: 1, 5: 1}
    stats = slow["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"]) == (1, 5)
    assert stats["queue"]["ns"] >= WAITED_SECONDS * 1e9
    assert stats["success"]["ns"] == pytest.approx(
        stats["queue"]["ns"] + stats["compute_infer"]["ns"], rel=0.01
    )


def test_every_request_of_both_doors_is_a_line_of_the_log(busy: Busy) -> None:
    lines = [json.loads(line) for line in busy.log.read_text().splitlines()]
    requests = [(line["method"], line["path"], line["status"]) for line in lines if "models" in line["path"]]
    assert requests[:7] == [
        *[("POST", INFER, 200)] * 3,
        ("POST", "/v1/models/double:predict", 200),
        *[("POST", INFER, 400)] * 2,
        ("POST", "/v2/models/secret-name/infer", 404),
    ]
    of_turns = sorted(status for _, path, status in requests if path == TURNS_INFER)
    assert of_turns == [200, 499, 499, 503, 504]
    called = [line for line in lines if line["method"] == "gRPC"]
    assert [(line["path"], line["status"]) for line in called] == [(GRPC, 0), (GRPC, 0), (GRPC, 5), (GRPC, 1)]
    assert [line["request_id"] for line in called[:3]] == ["call-7"] * 3
    assert {line["caller"] for line in lines} == {"127.0.0.1"}


@pytest.mark.slow
def test_an_answer_carries_the_id_of_its_line(busy: Busy) -> None:
    for path, body in ((INFER, rows(1)), (INFER, {}), ("/v2/models/nope", None)):
        answer = httpx.request(
            "GET" if body is None else "POST", busy.server.url + path, json=body, timeout=60
        )
        [own] = answer.headers.get_list("x-request-id")
        line = line_of(busy.log, own)
        assert (line["path"], line["status"]) == (path, answer.status_code)
        assert line["milliseconds"] > 0
