"""HAProxy as a process of its own, which goes on when the controller ends, and its runtime API."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from adaptact.files import replace_file
from serve.cluster.errors import ClusterError
from serve.cluster.proxy_text import (
    ProxyOptions,
    Slots,
    SlotState,
    list_certificates,
    read_statistics,
    write_configuration,
)

PROGRAM = "haproxy"
START_SECONDS = 30.0
ANSWER_SECONDS = 5.0
LONGEST_SOCKET_PATH = 90
"""HAProxy adds a suffix to it, and the system allows 107 bytes."""
SHOWN_CHARACTERS, SHOWN_BYTES = 300, 16 * 2**10
SUMS = "Fatal errors", "Error(s) found"
"""Lines that only say that there are others."""
CERTIFICATES = f"proxy-{'[0-9a-f]' * 16}.pem"


class HaProxy:
    """The proxy whose files are in a folder."""

    def __init__(self, folder: Path, options: ProxyOptions) -> None:
        """Make the folder, which only this user may enter; raises `ClusterError`."""
        self.options = options
        self._folder = folder
        self._socket, self._file = folder / "haproxy.sock", folder / "haproxy.cfg"
        self._started: list[subprocess.Popen[bytes]] = []
        """Of these one runs, and others that end."""
        if len(os.fsencode(self._socket)) > LONGEST_SOCKET_PATH:
            raise ClusterError(f"`{folder}` is too long for the path of a socket; choose another `--state`")
        if shutil.which(PROGRAM) is None:
            raise ClusterError(f"`{PROGRAM}` is not installed; on Debian: apt-get install {PROGRAM}")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ClusterError(f"the folder `{folder}` cannot be made: {error.strerror}") from error

    def open(self, slots: Slots) -> None:
        """HAProxy runs with the options and these replicas.

        One that runs already is left alone, or, where its configuration was another, replaced by a new one
        that takes over its listening sockets: no connection is refused. Raises `ClusterError`.
        """
        text = write_configuration(self.options, self._socket, slots)
        pid = self._find()
        is_same = self._file.exists() and self._file.read_text(encoding="utf-8") == text
        if pid is None or not is_same:
            self._write(text)
            self._start(pid)
            self._remove_certificates()

    def keep(self, slots: Slots) -> None:
        """The file has these replicas, for an HAProxy that is started again."""
        self._write(write_configuration(self.options, self._socket, slots))

    def send(self, commands: list[str]) -> None:
        """Each command is done; raises `ClusterError` where HAProxy refuses one, `OSError` without it."""
        for command in commands:
            answer = self._ask(command)
            if answer and not answer.startswith(("no need to change", "IP changed", "port changed")):
                raise ClusterError(f"HAProxy answers `{command}` with: {answer[:SHOWN_CHARACTERS]}")

    def read(self) -> dict[str, SlotState]:
        """The state of every slot; raises `OSError` where no HAProxy answers."""
        return read_statistics(self._ask("show stat"))

    def stop(self) -> None:
        """It takes no further connections, finishes what it has, and ends; or it has ended already."""
        pid = self._find()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)

    def _find(self) -> int | None:
        """The process that answers on the socket."""
        try:
            lines = self._ask("show info").splitlines()
        except OSError:
            return None
        return next((int(line.removeprefix("Pid: ")) for line in lines if line.startswith("Pid: ")), None)

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\n".encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode("utf-8", "replace").strip()

    def _start(self, before: int | None) -> None:
        command = [PROGRAM, "-db", "-f", str(self._file)]
        if before is not None:
            command += ["-x", str(self._socket), "-sf", str(before)]
        log_path = self._folder / "haproxy.log"
        with log_path.open("ab") as log:
            before_it = log.tell()
            # A session of its own: Ctrl-C ends the controller, and not what answers the clients.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = monotonic() + START_SECONDS
        while self._find() != process.pid:
            if process.poll() is not None or monotonic() > deadline:
                process.kill()
                process.wait()
                reason = _explain(_read_end(log_path, before_it))
                raise ClusterError(f"HAProxy does not start: {reason} (all of it: `{log_path}`)")
            sleep(0.02)
        self._started = [one for one in self._started if one.poll() is None] + [process]

    def _write(self, text: str) -> None:
        certificates = list_certificates(self.options, self._folder)
        for path, content in {**certificates, self._file: text.encode()}.items():
            try:
                with replace_file(path) as new:
                    new.chmod(0o600)
                    new.write_bytes(content)
            except OSError as error:
                raise ClusterError(f"`{path}` cannot be written: {error.strerror}") from error

    def _remove_certificates(self) -> None:
        """Those of before, with their private keys, are needed no more."""
        for path in self._folder.glob(CERTIFICATES):
            if path not in list_certificates(self.options, self._folder):
                path.unlink(missing_ok=True)


def _explain(lines: list[str]) -> str:
    """The last line that says what is wrong."""
    alerts = [line for line in lines if "ALERT" in line and not any(one in line for one in SUMS)]
    return (alerts or lines or ["no word"])[-1][:SHOWN_CHARACTERS]


def _read_end(path: Path, start: int) -> list[str]:
    """The lines from that place on, the last of them if there are many."""
    with path.open("rb") as stream:
        stream.seek(max(start, stream.seek(0, os.SEEK_END) - SHOWN_BYTES))
        return stream.read().decode("utf-8", "replace").strip().splitlines()
