"""One replica: a server process on this node, which lives as long as its actor."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from serve.cluster.cores import take_cores
from serve.cluster.plan import State
from serve.cluster.proxy_text import Address
from serve.cluster.spec import ReplicaSpec
from serve.settings import PREFIX

FOLDER = "adaptact-replica-"
KEPT_LINES = 20
SHOWN_CHARACTERS = 500
READ_SECONDS = 1.0
"""So long lines of a server that has ended are waited for; a worker of it may still hold its log."""


@dataclass(frozen=True, slots=True)
class ReplicaLook:
    """What a replica says of itself."""

    digest: str
    state: State
    node: str
    pid: int = 0
    address: Address | None = None
    """Once it is ready."""
    is_stopping: bool = False
    reason: str = ""
    """Why it ended: its last line."""


class Replica:
    """The server of a specification; every method answers within a second or so.

    The process of the actor must start it on its main thread, with whose end the server ends.
    """

    def __init__(self, spec: ReplicaSpec, address: str, node: str) -> None:
        """Start the server on this address of the node; whether it becomes ready is to be looked at."""
        _sweep()
        self._spec = spec
        self._folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
        self._cores = take_cores(spec.cpus)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._look = ReplicaLook(spec.digest, "starting", node)
        command = [sys.executable, "-P", "-m", "serve.cluster.launch"]
        command += [str(os.getpid()), address, "grpc" if spec.has_grpc else "no"]
        command += [str(core) for core in self._cores.numbers]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._make_environment(),
            cwd=self._folder,
            start_new_session=True,  # Ray kills the process group of an actor that ends
        )
        self._look = replace(self._look, pid=self._process.pid)
        self._readers = [
            threading.Thread(target=read, args=(stream,), daemon=True)
            for read, stream in (
                (self._read_output, self._process.stdout),
                (self._read_log, self._process.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()

    def look(self) -> ReplicaLook:
        """What it is like now."""
        status = self._process.poll()
        if status is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            return replace(self._look, state="ended", reason=self._find_reason(status))
        return self._look

    def read_spec(self) -> ReplicaSpec:
        """What it was made from."""
        return self._spec

    def stop(self) -> None:
        """It says that it is not ready, finishes its requests, and ends."""
        self._look = replace(self._look, is_stopping=True)
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """It has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its workers too
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        files = {}
        for name, content in self._spec.files.items():
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
            if "." not in name:
                files[f"{PREFIX}{name.upper()}"] = str(path)
        own = {f"{PREFIX}STATE": str(self._folder), **files}
        if self._spec.has_grpc:
            own[f"{PREFIX}GRPC_PORT"] = "1"  # on, wherever: the socket is passed to it
        return {**inherited, **self._spec.environment, **own}

    def _find_reason(self, status: int) -> str:
        self._readers[-1].join(READ_SECONDS)  # the last lines may be on their way
        errors = [line.removeprefix("error: ") for line in self._lines if line.startswith("error: ")]
        return (errors or list(self._lines) or [f"ended with status {status}"])[-1]

    def _read_output(self, stream: IO[bytes]) -> None:
        """The server's first line says where it answers."""
        with stream:
            for line in stream:
                with suppress(ValueError, KeyError, TypeError):
                    said = json.loads(line)
                    where = urlsplit(said["url"])
                    address = Address(where.hostname or "", where.port or 0, said["grpc_port"] or 0)
                    self._look = replace(self._look, state="ready", address=address)

    def _read_log(self, stream: IO[bytes]) -> None:
        """The log goes where the actor's goes; its last lines say why the server ended."""
        with stream:
            for line in stream:
                text = line.decode("utf-8", "replace").rstrip()
                self._lines.append(text[:SHOWN_CHARACTERS])
                sys.stderr.write(f"{text}\n")


def _sweep() -> None:
    """Folders of replicas whose actor was killed are removed: they may hold a private key."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        pid = folder.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)
