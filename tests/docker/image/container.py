"""One container, run by crun as docker/compose.yaml asks: ordinary user, no capability, read-only root."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.docker.image.commands import ImageTestError, run
from tests.docker.image.store import ImageConfig

NAME = "adaptact-image-test"
START_TIMEOUT_SECONDS = 10.0

# crun refuses a machine that mounts both versions of cgroups, even if told to use neither. In a mount
# namespace of its own it need not see the second one.
HIDE_CGROUP2 = 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"'
IN_OWN_MOUNTS = ("unshare", "--mount", "sh", "-c", HIDE_CGROUP2, "sh", "crun")


def runtime_specification(image: ImageConfig, files: Path, models: Path) -> dict[str, object]:
    """The OCI runtime's config.json for `image` on its read-only `files`, with `models` mounted read-only."""
    user, group = map(int, image.user.split(":"))
    private = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": user, "gid": group},
            "args": image.command,
            "env": image.environment,
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": str(files), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*private, "mode=1777"]},
            {
                "destination": image.variable("ADAPTACT_MODELS"),
                "type": "bind",
                "source": str(models),
                "options": ["bind", "ro"],
            },
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


@dataclass(frozen=True, slots=True)
class Container:
    """A running container: crun's command line, crun's process, and what the container printed and is."""

    crun: tuple[str, ...]
    runtime: subprocess.Popen[bytes]
    log_file: Path
    process_id: int
    started_at: float

    def log(self) -> str:
        """What the container has printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What came of `command`, run beside the server as an engine runs a health check."""
        execute = (*self.crun, "exec", NAME, *command)
        return subprocess.run(execute, capture_output=True, text=True, check=False)

    def call(self, *command: str) -> str:
        """What this machine's `command` printed when run in the container's network.

        The container's own end ends the call too, with an error.
        """
        client = subprocess.Popen(
            ("nsenter", f"--net=/proc/{self.process_id}/ns/net", *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while client.poll() is None and self.runtime.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                client.wait(0.1)
        client.kill()
        printed, complaint = client.communicate()
        if client.returncode:
            ended = self.runtime.poll()
            state = "still runs" if ended is None else f"ended with exit code `{ended}`"
            raise ImageTestError(f"the server {state}. {complaint.strip()}\nIts log:\n{self.log()}")
        return printed

    def status(self, field: str) -> list[str]:
        """The values of `field` in the kernel's status of the server."""
        lines = Path(f"/proc/{self.process_id}/status").read_text(encoding="ascii").splitlines()
        return next(line.split()[1:] for line in lines if line.startswith(f"{field}:"))

    def processor_seconds(self) -> float:
        """How long processors worked for the server's processes, in their own code and in the kernel."""
        times = [process.cpu_times() for process in self.processes()]
        return float(sum(each.user + each.system for each in times))

    def memory_bytes(self) -> int:
        """The memory of the server's processes; each has its share of the pages that they share."""
        return sum(process.memory_full_info().pss for process in self.processes())

    def processes(self) -> list[psutil.Process]:
        """The supervisor and its workers."""
        supervisor = psutil.Process(self.process_id)
        return [supervisor, *supervisor.children(recursive=True)]

    def stop(self, timeout_seconds: float) -> tuple[int, float]:
        """Its exit code and the seconds from SIGTERM to it; an error if `timeout_seconds` pass first."""
        asked_at = time.monotonic()
        run(*self.crun, "kill", NAME, "TERM")
        return self.wait(timeout_seconds), time.monotonic() - asked_at

    def wait(self, timeout_seconds: float) -> int:
        """Its exit code; an error if `timeout_seconds` pass first."""
        try:
            return self.runtime.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            message = f"still running after `{timeout_seconds}` s:\n{self.log()}"
            raise ImageTestError(message) from error


@contextmanager
def running(bundle: Path, specification: dict[str, object]) -> Iterator[Container]:
    """The container of `specification`, whose files lie in `bundle`; afterwards nothing of it runs."""
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(specification), encoding="utf-8")
    pid_file, log_file = bundle / "pid", bundle / "log"
    pid_file.unlink(missing_ok=True)
    crun = (*IN_OWN_MOUNTS, "--cgroup-manager=disabled", f"--root={bundle / 'state'}")
    command = (*crun, "run", f"--pid-file={pid_file}", f"--bundle={bundle}", NAME)
    started_at = time.monotonic()
    with log_file.open("wb") as log:
        runtime = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield Container(crun, runtime, log_file, written_process_id(pid_file, runtime, log_file), started_at)
    finally:
        if runtime.poll() is None:
            run(*crun, "delete", "--force", NAME)
            runtime.wait()


def written_process_id(pid_file: Path, runtime: subprocess.Popen[bytes], log_file: Path) -> int:
    """The number that crun writes to `pid_file` once the container runs; an error if it never does."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        ended = runtime.poll() is not None  # read before the file: a short-lived container leaves it behind
        if pid_file.exists() and (written := pid_file.read_text(encoding="ascii")):
            return int(written)
        if ended:
            break
        time.sleep(0.005)
    raise ImageTestError(f"the container did not start:\n{log_file.read_text(encoding='utf-8')}")
