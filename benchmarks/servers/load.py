"""Closed-loop load: clients that each wait for an answer before the next request."""

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson

from benchmarks.servers.models import INPUT, SHAPES
from benchmarks.servers.programs.session import open_session

# What wrk runs: the request's bytes come from a file, and the result leaves as one line of JSON.
_LUA = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
{headers}
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\nRESULT {{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class LoadMeasurement:
    """Requests answered in a second, the median and the 99th percentile in milliseconds, and failures."""

    requests_per_second: float
    p50: float
    p99: float
    errors: int


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body and its headers."""

    content: bytes
    headers: dict[str, str]


def json_body(model: str) -> Body:
    """One sample as numbers in JSON."""
    array = _make_sample(model)
    entry = {"name": INPUT, "datatype": "FP32", "shape": array.shape, "data": array.ravel()}
    content = orjson.dumps({"inputs": [entry]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Body(content, {"Content-Type": "application/json"})


def binary_body(model: str) -> Body:
    """One sample as bytes after the JSON, and the answer asked for in the same form."""
    array = _make_sample(model)
    parameters = {"binary_data_size": array.nbytes}
    entry = {"name": INPUT, "datatype": "FP32", "shape": array.shape, "parameters": parameters}
    text = orjson.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}})
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(text)),
    }
    return Body(text + array.tobytes(), headers)


def send_http_load(url: str, body: Body, clients: int, seconds: int) -> LoadMeasurement:
    """wrk's measurement with one thread; raises RuntimeError, with wrk's output, where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        content, script = Path(folder) / "body", Path(folder) / "load.lua"
        content.write_bytes(body.content)
        headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in body.headers.items())
        script.write_text(_LUA.format(body=content, headers=headers))
        command = [
            "wrk",
            "-t1",
            f"-c{clients}",
            f"-d{seconds}s",
            "--timeout",
            "10s",
            "-s",
            str(script),
            url,
        ]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    result = process.stdout.partition("RESULT ")[2]
    if not result:
        raise RuntimeError(
            f"`wrk` measured nothing at `{url}`: {process.stdout[-500:]}{process.stderr[-500:]}"
        )
    numbers = json.loads(result.splitlines()[0])
    answered = numbers["requests"] - numbers["errors"]
    return LoadMeasurement(answered / numbers["seconds"], numbers["p50"], numbers["p99"], numbers["errors"])


def send_grpc_load(address: str, model: str, clients: int, seconds: float) -> LoadMeasurement:
    """The same over gRPC, from a Python process of its own: its client is slower than wrk."""
    command = [sys.executable, "-m", "benchmarks.servers.load", address, model, str(clients), str(seconds)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"the gRPC load of `{address}` measured nothing: {process.stderr[-2000:]}")
    return LoadMeasurement(**json.loads(process.stdout.splitlines()[-1]))


def run_in_process(path: Path, model: str, threads: int, seconds: float) -> LoadMeasurement:
    """ONNX Runtime alone, called from so many threads: the limit of any server."""
    session, array = open_session(path), _make_sample(model)
    end = time.perf_counter() + seconds
    times: list[list[float]] = [[] for _ in range(threads)]

    def run(own: list[float]) -> None:
        while (start := time.perf_counter()) < end:
            session.run(None, {INPUT: array})
            own.append((time.perf_counter() - start) * 1e3)

    workers = [threading.Thread(target=run, args=(own,)) for own in times]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return _summarise([value for own in times for value in own], seconds, 0)


def _make_sample(model: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    # Rounded as people round: digits of a random float32 would make the JSON twice as long.
    numbers = np.random.default_rng(0).random((1, *SHAPES[model]))
    return numbers.round(4).astype(np.float32)


def _summarise(milliseconds: list[float], seconds: float, errors: int) -> LoadMeasurement:
    p50, p99 = np.percentile(milliseconds, [50, 99]) if milliseconds else (0.0, 0.0)
    return LoadMeasurement(len(milliseconds) / seconds, float(p50), float(p99), errors)


async def _send_grpc(address: str, model: str, clients: int, seconds: float) -> LoadMeasurement:
    import grpc  # noqa: PLC0415  # only this process needs it
    from tritonclient.grpc import InferInput, service_pb2  # noqa: PLC0415

    array = _make_sample(model)
    tensor = InferInput(INPUT, list(array.shape), "FP32").set_data_from_numpy(array)
    request = service_pb2.ModelInferRequest(model_name=model, inputs=[tensor._get_tensor()])
    request.raw_input_contents.append(array.tobytes())
    content = request.SerializeToString()
    milliseconds: list[float] = []
    errors = 0
    async with grpc.aio.insecure_channel(address) as channel:
        # Bytes in, bytes out: what is measured is the server, not this client's protobuf.
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        end = time.perf_counter() + seconds

        async def client() -> None:
            nonlocal errors
            while (start := time.perf_counter()) < end:
                try:
                    await infer(content)
                except grpc.aio.AioRpcError:
                    errors += 1
                else:
                    milliseconds.append((time.perf_counter() - start) * 1e3)

        await asyncio.gather(*(client() for _ in range(clients)))
    return _summarise(milliseconds, seconds, errors)


if __name__ == "__main__":
    address, model, clients, seconds = sys.argv[1:]
    measurement = asyncio.run(_send_grpc(address, model, int(clients), float(seconds)))
    print(json.dumps(asdict(measurement)))
