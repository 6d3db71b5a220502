"""A running server: started in its own environment, stopped with its children, its memory measured."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

READY_SECONDS = 60.0
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """How a server is started for one model: a command, its environment, and where it answers."""

    command: list[str]
    port: int
    environment: Mapping[str, str]
    grpc_port: int | None = None


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that has answered a prediction."""

    url: str
    grpc_address: str | None
    cold_start_seconds: float
    process: psutil.Process

    def memory_mb(self) -> float:
        """Megabytes (10⁶) of the server and its children; each has its share of the pages that they share."""
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss / 1e6
        return total


@contextlib.contextmanager
def run_server(plan: ServerPlan, path: str, body: bytes) -> Iterator[RunningServer]:
    """The server, once it has answered the request with 200; stopped with all its children after the block.

    Raises TimeoutError, with the end of what the server wrote, where it does not answer in a minute.
    """
    with tempfile.TemporaryFile() as written:
        begin = time.perf_counter()
        process = subprocess.Popen(
            plan.command,
            env=os.environ | dict(plan.environment),
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{plan.port}"
            if not _is_answering(f"{url}{path}", body, process):
                written.seek(0)
                end = written.read()[-2000:].decode(errors="replace")
                raise TimeoutError(f"`{plan.command[0]}` does not answer at `{url}{path}`; it said:\n{end}")
            grpc = f"127.0.0.1:{plan.grpc_port}" if plan.grpc_port else None
            yield RunningServer(url, grpc, time.perf_counter() - begin, psutil.Process(process.pid))
        finally:
            _stop(process)


def find_free_port() -> int:
    """A free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def write_triton_folder(environment: Path, models: Path, model: str, instances: int) -> Path:
    """A new folder with Triton's backend as its Python package brings it, and the model for that backend."""
    package = next(environment.glob("lib/python3*/site-packages/pytriton/tritonserver"))
    version = package.parents[2].name.removeprefix("python")
    folder = Path(tempfile.mkdtemp(prefix="triton-"))
    shutil.copytree(package / "backends", folder / "backends")
    stub = package / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, folder / "backends/python/triton_python_backend_stub")
    target = folder / "models" / model
    (target / "1").mkdir(parents=True)
    shutil.copy(models / model / "1/model.onnx", target / "1/model.onnx")
    shutil.copy(Path(__file__).with_name("programs") / "triton_model.py", target / "1/model.py")
    (target / "config.pbtxt").write_text(_triton_config(model, instances))
    return folder


def _triton_config(model: str, instances: int) -> str:
    from benchmarks.servers.models import SHAPES  # noqa: PLC0415  # torch, which only writing models needs

    dims = ", ".join(map(str, SHAPES[model]))
    return (
        f'name: "{model}"\nbackend: "python"\nmax_batch_size: 16\n'
        f'input [{{ name: "x", data_type: TYPE_FP32, dims: [{dims}] }}]\n'
        'output [{ name: "y", data_type: TYPE_FP32, dims: [10] }]\n'
        f"instance_group [{{ count: {instances}, kind: KIND_CPU }}]\n"
        "dynamic_batching { max_queue_delay_microseconds: 0 }\n"
    )


def _is_answering(url: str, body: bytes, process: subprocess.Popen[bytes]) -> bool:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    end = time.perf_counter() + READY_SECONDS
    while time.perf_counter() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.01)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole session to end, and end it where it does not."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
