import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

import pytest

from serve.cluster.replica import Replica
from serve.cluster.spec import ReplicaSpec

SPEC = ReplicaSpec({}, {"keys": b"secret"}, 1, 0.0, has_grpc=False, models="m")


def start(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Replica:
    """A replica whose server is this script of the shell."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return Replica(SPEC, "127.0.0.1", "node")


def test_a_server_that_ends_is_told_by_its_error_though_its_log_is_read_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_ended, read = threading.Event(), Replica._read_log

    def read_late(replica: Replica, stream: IO[bytes]) -> None:
        has_ended.wait(30)
        read(replica, stream)

    monkeypatch.setattr(Replica, "_read_log", read_late)
    replica = start(tmp_path, monkeypatch, "echo 'error: there is no model' >&2; echo last >&2; exit 1")
    replica._process.wait()
    threading.Timer(0.05, has_ended.set).start()
    look = replica.look()
    assert (look.state, look.reason) == ("ended", "there is no model")
    for reader in replica._readers:
        reader.join()
    assert not list(tmp_path.glob("adaptact-replica-*"))  # which held the keys


def test_the_first_line_says_where_a_server_answers_and_others_mean_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = '{"url": "http://127.0.0.1:8123", "grpc_port": null}'
    replica = start(tmp_path, monkeypatch, f"echo '[1]'; echo '7'; echo '{line}'; exec sleep 60")
    replica._readers[0].join(0.01)
    for _ in range(3000):
        if replica.look().state == "ready":
            break
        replica._readers[0].join(0.01)
    address = replica.look().address
    replica.kill()
    for reader in replica._readers:
        reader.join()
    assert address is not None
    assert (address.host, address.port, address.grpc_port) == ("127.0.0.1", 8123, 0)
