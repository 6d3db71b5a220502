"""Every server by name: how it is started for a model and a number of workers, and which forms it speaks."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from benchmarks.servers.server import ServerPlan, find_free_port, write_triton_folder

Form: TypeAlias = Literal["json", "binary", "grpc"]
_PROGRAMS = Path(__file__).with_name("programs")
_ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model to serve, its folder, the number of workers, and the folder of the peers' environments."""

    models: Path
    model: str
    workers: int
    peers: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A server, the forms of tensors that it takes, and the environment that it needs, if not this one."""

    plan: Callable[[ServedModel], ServerPlan]
    forms: tuple[Form, ...]
    environment: str = ""


def _plan_own_program(name: str) -> Callable[[ServedModel], ServerPlan]:
    def plan(served: ServedModel) -> ServerPlan:
        port = find_free_port()
        variables = {"MODELS": str(served.models), "PORT": str(port), "WORKERS": str(served.workers)}
        return ServerPlan(
            [sys.executable, "-m", f"benchmarks.servers.programs.{name}"],
            port,
            variables | _thread_variables(),
        )

    return plan


def _plan_adaptact(served: ServedModel) -> ServerPlan:
    port, grpc_port = find_free_port(), find_free_port()
    command = [
        str(Path(sys.executable).with_name("adaptact-serve")),
        *("--models", str(served.models), "--port", str(port), "--grpc-port", str(grpc_port)),
        *("--workers", str(served.workers), "--log-level", "warning"),
    ]
    return ServerPlan(command, port, _thread_variables(), grpc_port)


def _plan_mlserver(served: ServedModel) -> ServerPlan:
    import json  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    port = find_free_port()
    folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
    parallel = served.workers if served.workers > 1 else 0  # 0: in the server's own process
    settings = {
        "debug": False,
        "http_port": port,
        "grpc_port": find_free_port(),
        "metrics_port": find_free_port(),
        "parallel_workers": parallel,
        "use_structured_logging": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    batching = {"max_batch_size": 16, "max_batch_time": 0.001} if parallel else {}
    model = {
        "name": served.model,
        "implementation": "benchmarks.servers.programs.mlserver_model.OnnxModel",
        "parameters": {"uri": str(served.models / served.model / "1/model.onnx")},
        **batching,
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = served.peers / "mlserver/bin/mlserver"
    return ServerPlan([str(program), "start", str(folder)], port, {"PYTHONPATH": _ROOT} | _thread_variables())


def _plan_litserve(served: ServedModel) -> ServerPlan:
    port = find_free_port()
    variables = {
        "MODEL": str(served.models / served.model / "1/model.onnx"),
        "PORT": str(port),
        "WORKERS": str(served.workers),
        "PYTHONPATH": _ROOT,
    }
    program = [str(served.peers / "litserve/bin/python"), str(_PROGRAMS / "litserve_server.py")]
    return ServerPlan(program, port, variables | _thread_variables())


def _plan_triton(served: ServedModel) -> ServerPlan:
    environment = served.peers / "pytriton"
    package = next(environment.glob("lib/python3*/site-packages"))
    folder = write_triton_folder(environment, served.models, served.model, served.workers)
    port, grpc_port = find_free_port(), find_free_port()
    command = [
        str(package / "pytriton/tritonserver/bin/tritonserver"),
        *(f"--model-repository={folder / 'models'}", f"--backend-directory={folder / 'backends'}"),
        *(f"--http-port={port}", f"--grpc-port={grpc_port}", "--allow-metrics=false", "--log-info=false"),
        "--http-thread-count=2",
    ]
    # The stub looks for `python3` on the path, and for the packages of its environment.
    variables = {
        "PYTHONPATH": f"{_ROOT}:{package}",
        "PATH": f"{environment / 'bin'}:/usr/bin:/bin",
        "LD_LIBRARY_PATH": str(package / "nvidia_pytriton.libs"),
    }
    return ServerPlan(command, port, variables | _thread_variables(), grpc_port)


def _thread_variables() -> dict[str, str]:
    """The variables that keep numpy from starting threads."""
    return {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


PEERS: Mapping[str, Peer] = {
    "adaptact": Peer(_plan_adaptact, ("json", "binary", "grpc")),
    "bare ASGI function": Peer(_plan_own_program("bare_asgi"), ("json", "binary")),
    "plain FastAPI": Peer(_plan_own_program("plain_fastapi"), ("json",)),
    "MLServer": Peer(_plan_mlserver, ("json",), "mlserver"),
    "LitServe": Peer(_plan_litserve, ("json",), "litserve"),
    "Triton": Peer(_plan_triton, ("json", "binary", "grpc"), "pytriton"),
}
