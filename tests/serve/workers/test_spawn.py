import os
import signal
import socket

from serve.workers.spawn import StartedWorker, WorkerProcess, open_ends


def started(program: str, *arguments: str) -> WorkerProcess:
    pid = os.posix_spawn(program, [program, *arguments], os.environ)
    return WorkerProcess(StartedWorker(pid, open_ends()))


def test_a_process_that_has_ended_gets_no_signal() -> None:
    process = started("/bin/sh", "-c", "exit 3")
    assert process.wait() == 3
    process.close()
    process.send_signal(signal.SIGKILL)
    process.channel_socket.close()


def test_the_status_of_a_process_names_its_signal() -> None:
    process = started("/bin/sleep", "1000")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.close()
    process.channel_socket.close()


def test_a_process_whose_connections_end_can_read_those_that_it_has() -> None:
    process = started("/bin/true")
    process.connection_socket.send(b"one")
    process.end_connections()
    behind = process.connections_behind
    assert [behind.recv(10, socket.MSG_DONTWAIT) for _ in range(2)] == [b"one", b""]
    assert process.wait() == 0
    process.close()
    process.channel_socket.close()
