import asyncio
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from serve.engine.errors import ListenError
from serve.workers import systemd
from serve.workers.systemd import notify, notify_watchdog, take_listeners
from tests.serve import models
from tests.waiting import SECONDS

FIRST = 200
# As systemd does: the socket is descriptor 3, and the variables name the process that becomes the server.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "adaptact", "serve", *sys.argv[2:]])
"""


def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def passed(
    monkeypatch: pytest.MonkeyPatch, *sockets: socket.socket, names: str = "", pid: int | None = None
) -> Iterator[None]:
    """The sockets as systemd's, at descriptors in a row."""
    monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", FIRST)
    monkeypatch.setenv("LISTEN_PID", str(pid or os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", str(len(sockets)))
    monkeypatch.setenv("LISTEN_FDNAMES", names)
    for index, source in enumerate(sockets):
        assert fcntl.fcntl(source.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST + index) == FIRST + index
        source.close()
    try:
        yield
    finally:
        for index in range(len(sockets)):
            with suppress(OSError):
                os.close(FIRST + index)


def ports(listeners: list[socket.socket]) -> list[int]:
    with ExitStack() as closing:
        return [closing.enter_context(each).getsockname()[1] for each in listeners]


@pytest.mark.parametrize(
    ("names", "order"), [("", (0, 1)), ("x.socket:x.socket", (0, 1)), ("grpc:http", (1, 0))]
)
def test_sockets_are_taken_by_name_else_in_turn(
    names: str, order: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [listener(), listener()]
    expected = [made[index].getsockname()[1] for index in order]
    with passed(monkeypatch, *made, names=names):
        assert ports(take_listeners(with_grpc=True)) == expected
        assert take_listeners(with_grpc=True) == []  # they are passed once


def test_sockets_of_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with passed(monkeypatch, listener(), pid=os.getpid() + 1):
        assert take_listeners(with_grpc=False) == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_or_too_many_sockets_are_refused(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = [listener() for _ in range(count)]
    with passed(monkeypatch, *sockets), pytest.raises(ListenError, match=f"passes {count} sockets"):
        take_listeners(with_grpc=True)


@pytest.mark.parametrize("kind", ["datagram", "unix", "connected"])
def test_what_is_no_listening_socket_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    families = {"datagram": (socket.AF_INET, socket.SOCK_DGRAM), "unix": (socket.AF_UNIX, socket.SOCK_STREAM)}
    made = socket.socket(*families.get(kind, (socket.AF_INET, socket.SOCK_STREAM)))
    if kind == "unix":
        made.bind(str(tmp_path / "socket"))
        made.listen()
    with passed(monkeypatch, made), pytest.raises(ListenError, match="no listening TCP socket"):
        take_listeners(with_grpc=False)


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told(is_abstract: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = f"@adaptact-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name[1:]}" if is_abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1", "STATUS=serves m (1)")
        assert receiver.recv(100) == b"READY=1\nSTATUS=serves m (1)"


def test_a_systemd_that_has_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.parametrize("interval", ["", "0", "none"])
def test_without_a_watchdog_nothing_is_told(interval: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", interval)
    asyncio.run(notify_watchdog())  # returns


@pytest.mark.slow
def test_a_restart_refuses_no_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Clients that connect while no server runs wait for the next one."""
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    with listener() as port, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000000")
        command = [
            sys.executable,
            "-c",
            LAUNCH,
            str(port.fileno()),
            "--models",
            str(tmp_path),
            "--workers",
            "1",
        ]
        for _ in range(2):
            early = http.client.HTTPConnection("127.0.0.1", port.getsockname()[1], timeout=SECONDS)
            early.request("GET", "/v2/models/double/ready")
            with subprocess.Popen([*command, "--quiet"], pass_fds=[port.fileno()], cwd=tmp_path) as server:
                assert early.getresponse().status == 200
                early.close()
                assert receiver.recv(1000) == b"WATCHDOG=1"
                ready = receiver.recv(1000).decode()
                assert ready.startswith(
                    f"READY=1\nSTATUS=http://127.0.0.1:{port.getsockname()[1]} serves double"
                )
                server.send_signal(signal.SIGTERM)
                assert receiver.recv(1000) == b"STOPPING=1"
                assert server.wait(SECONDS) == 0
