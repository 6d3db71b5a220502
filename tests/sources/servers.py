"""The real servers that models come from, and ours, each as a process."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.docker.paths import ROOT
from tests.serve.process import free_port
from tests.waiting import until

TOOLS = ROOT / "build" / "sources" / "bin"
KEYS = {"AWS_ACCESS_KEY_ID": "plant", "AWS_SECRET_ACCESS_KEY": "plant-secret", "AWS_REGION": "us-east-1"}
REGISTRY = """\
version: 0.1
storage:
  filesystem: {{rootdirectory: {folder}}}
  delete: {{enabled: true}}
http: {{addr: 127.0.0.1:{port}}}
"""


@dataclass
class Program:
    """A process, and the environment in which its clients run."""

    command: list[str]
    log: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, path: str = "/") -> None:
        with self.log.open("ab") as log:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                cwd=self.log.parent,
            )
        until(lambda: self.answers(path))

    def answers(self, path: str = "/") -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended; its log is {self.log}"
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(self.url + path, timeout=5).status_code < 500
        return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            self.process.wait(60)
            self.process = None


def make_moto(folder: Path) -> Program:
    port = free_port()
    environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    command = [str(TOOLS / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    return Program(command, folder / "moto.log", port, environment)


def make_rclone(folder: Path) -> Program:
    port = free_port()
    (folder / "buckets").mkdir()
    environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    keys = f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}"
    command = [str(TOOLS / "rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", keys]
    return Program([*command, str(folder / "buckets")], folder / "rclone.log", port, environment)


def make_registry(folder: Path) -> Program:
    port = free_port()
    config = folder / "registry.yaml"
    config.write_text(REGISTRY.format(folder=folder / "registry", port=port))
    command = shutil.which("docker-registry")
    assert command is not None, "Debian's package docker-registry is not installed"
    return Program([command, "serve", str(config)], folder / "registry.log", port)


def make_mlflow(folder: Path) -> Program:
    port = free_port()
    stores = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "art"),
    ]
    command = [str(TOOLS / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "GIT_PYTHON_REFRESH": "quiet"}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    return Program([*command, *stores], folder / "mlflow.log", port, environment)


class OurServer(Program):
    """`adaptact serve` with a source, which it asks each second."""

    def __init__(self, folder: Path, source: str, environment: Mapping[str, str], *more: str) -> None:
        port = free_port()
        command = [str(Path(sys.executable).with_name("adaptact-serve")), "--models", str(folder / "copy")]
        command += ["--source", source, "--source-seconds", "1", "--workers", "2", "--port", str(port), *more]
        super().__init__(command, folder / "server.log", port, dict(environment))

    def versions(self, model: str = "digits") -> list[str]:
        answer = httpx.get(f"{self.url}/v2/models/{model}", timeout=30)
        return sorted(answer.json()["versions"]) if answer.status_code == 200 else []

    def predict(self, model: str = "digits") -> list[float]:
        """The answer to 1, 2, 3."""
        answer = httpx.post(
            f"{self.url}/v1/models/{model}:predict", json={"instances": [[1, 2, 3]]}, timeout=30
        )
        [row] = answer.json()["predictions"]
        return [float(value) for value in row]

    def series(self, name: str) -> float:
        lines = httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@contextlib.contextmanager
def running(*programs: Program, path: str = "/") -> Iterator[None]:
    """They run within the block."""
    try:
        for program in programs:
            program.start(path)
        yield
    finally:
        for program in programs:
            program.stop()


def run_shell(code: str, folder: Path, environment: Mapping[str, str], *, language: str = "sh") -> str:
    """What the commands print, with the tools' environment first on the path."""
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    program = [str(TOOLS / "python"), "-c", code] if language == "python" else ["bash", "-euc", code]
    done = subprocess.run(
        program,
        cwd=folder,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    return done.stdout
