import os
import subprocess
import sys

CHILD = """
import os, socket, sys
from serve.cluster.launch import pass_sockets
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
ports = [listener.getsockname()[1] for listener in listeners]
pass_sockets(listeners)
code = "from serve.workers import systemd; print([s.getsockname()[1] for s in systemd.take_listeners(True)])"
print(ports, flush=True)
os.execv(sys.executable, [sys.executable, "-P", "-c", code])
"""


def test_the_server_takes_the_sockets_that_it_is_passed() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    passed, taken = done.stdout.splitlines()
    assert passed == taken


def test_a_replica_whose_actor_has_ended_does_not_start() -> None:
    command = [sys.executable, "-P", "-m", "serve.cluster.launch", str(os.getpid() + 1), "127.0.0.1", "no"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the actor of this replica has ended\n")
