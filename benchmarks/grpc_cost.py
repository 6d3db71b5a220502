"""The server's cost of a `ModelInfer`, beside the same request in binary over HTTP and gRPC's own library.

Processor time of the server's processes for one row of a trivial model, so that the cost is that of the
protocol. Each turn measures all three in turn. Prints a table and writes docs/results/grpc_cost.{md,json}.
"""

import asyncio
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import grpc
import grpc.aio
import numpy as np
import psutil
import typer
import uvloop
from onnx.parser import parse_model
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.results import publish
from serve.grpc.messages import message_class

MODEL = '<ir_version: 10, opset_import: ["": 20]> double (float[N, 3] x) => (float[N, 3] y) { y = Add(x, x) }'
ROW = np.ones((1, 3), np.float32)
DOORS = ("HTTP, binary", "gRPC", "grpc.aio, doing nothing")
Ask = Callable[[int], None]


def main(
    turns: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 7,
    requests: Annotated[int, typer.Option(min=8, help="Requests in one measurement.")] = 2000,
) -> None:
    """Measure and publish."""
    costs: dict[tuple[str, int], list[float]] = {(door, c): [] for door in DOORS for c in (1, 8)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "double", "1", "model.onnx")
        path.parent.mkdir(parents=True)
        path.write_bytes(parse_model(MODEL).SerializeToString())
        server, http_port, grpc_port = _start_server(Path(folder))
        alone, alone_port = _start_alone()
        try:
            asked = (_make_http_ask(http_port), _make_grpc_ask(grpc_port), _make_grpc_ask(alone_port))
            doors = list(zip(DOORS, (server, server, alone), asked, strict=True))
            for _ in track(range(turns), description="turns"):
                for connections in (1, 8):
                    for door, process, ask in doors:
                        costs[door, connections].append(_measure_cost(process, ask, connections, requests))
        finally:
            for process in (server, alone):
                process.terminate()
                process.wait(30)
    _publish({key: statistics.median(values) for key, values in costs.items()}, turns)


def serve_alone(port: int) -> None:
    """A server of gRPC's own library whose one handler answers the same bytes to everything."""
    uvloop.run(_serve_alone(port))


async def _serve_alone(port: int) -> None:
    async def answer(data: bytes, context: object) -> bytes:
        return data

    class Handlers:
        def service(self, details: object) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handlers(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await asyncio.Event().wait()


def _start_server(folder: Path) -> tuple[psutil.Popen, int, int]:
    grpc_port = _find_free_port()
    program = Path(sys.executable).with_name("adaptact-serve")
    command = [str(program), "--models", str(folder), "--port", "0", "--grpc-port", str(grpc_port)]
    command += ["--workers", "1"]
    process = psutil.Popen([*command, "--log-level", "warning"], stdout=subprocess.PIPE, text=True)
    port = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
    assert port is not None, "the server did not start"
    return process, int(port[1]), grpc_port


def _start_alone() -> tuple[psutil.Popen, int]:
    port = _find_free_port()
    code = f"from benchmarks.grpc_cost import serve_alone; serve_alone({port})"
    return psutil.Popen([sys.executable, "-c", code]), port


def _measure_cost(process: psutil.Popen, ask: Ask, connections: int, requests: int) -> float:
    """Microseconds of the processes' processor time for a request, with so many connections at once."""
    ask(50)
    before = _read_processor_seconds(process)
    threads = [threading.Thread(target=ask, args=[requests // connections]) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = _read_processor_seconds(process) - before
    return 1e6 * spent / (requests // connections * connections)


def _read_processor_seconds(process: psutil.Popen) -> float:
    """What the process and those that it started have used."""
    return float(sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True))))


def _make_grpc_ask(port: int) -> Ask:
    message = message_class("inference.ModelInferRequest")(model_name="double")
    message.inputs.add(name="x", datatype="FP32", shape=ROW.shape)
    message.raw_input_contents.append(ROW.tobytes())
    data = message.SerializeToString()

    def ask(times: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            for _ in range(times):
                infer(data, wait_for_ready=True, timeout=30)

    return ask


def _make_http_ask(port: int) -> Ask:
    tensor = {
        "name": "x",
        "shape": ROW.shape,
        "datatype": "FP32",
        "parameters": {"binary_data_size": ROW.nbytes},
    }
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    head = (
        "POST /v2/models/double/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Inference-Header-Content-Length: {len(text)}\r\nContent-Length: {len(text) + ROW.nbytes}\r\n\r\n"
    )
    data = head.encode() + text + ROW.tobytes()

    def ask(times: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for _ in range(times):
                connection.sendall(data)
                reply = b""
                while not reply.endswith((2 * ROW).tobytes()):
                    reply += connection.recv(65536)

    return ask


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _publish(costs: dict[tuple[str, int], float], turns: int) -> None:
    table = Table(box=box.MARKDOWN)
    for column in ("server's processor time a request", "1 connection", "8 connections", "/ HTTP"):
        table.add_column(column, justify="left" if not table.columns else "right")
    for door in DOORS:
        single, eight = costs[door, 1], costs[door, 8]
        table.add_row(door, f"{single:.0f} µs", f"{eight:.0f} µs", f"{single / costs[DOORS[0], 1]:.1f}")
    numbers = {f"{door}, {connections}": round(cost, 1) for (door, connections), cost in costs.items()}
    publish("grpc_cost", f"One row of a trivial model; median of {turns} turns", table, numbers)


if __name__ == "__main__":
    typer.run(main)
