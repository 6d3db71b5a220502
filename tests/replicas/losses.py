"""What is killed, lost or refused, and what must come of it."""

import os
import signal
import ssl
from time import monotonic, sleep

import numpy as np
import psutil

from serve.client import Client, Transport
from tests.fleet.drills import Row
from tests.fleet.load import BODY, PATH
from tests.fleet.program import check, wait_until
from tests.replicas.asking import ask, connect, require_no_failure
from tests.replicas.service import CLIENTS, LEAST, LONG_SECONDS, Service

RETRIED = 100
WAITING_SECONDS = 50.0
"""So long nodes wait for their head at least; Ray's default is 60 s."""


def kill_command(service: Service) -> Row:
    """The command was killed and started again, and no request failed."""
    before = service.serving()
    with service.load() as load:
        sleep(1)
        service.command.stop(signal.SIGKILL)
        sleep(5)
        service.command.start()
        asked = "cluster", "status", "--address", service.nodes.address
        wait_until(lambda: service.run(*asked).returncode == 0, "the command keeps the cluster again")
        sleep(3)
    check(service.serving() == before, "the command did not take over the replicas")
    require_no_failure(load)
    return Row(
        "the command killed (kill -9) under load, and started again",
        f"the same replicas serve; {load.outcomes['200']:,} requests, none failed",
    )


def kill_proxy(service: Service) -> Row:
    """HAProxy was killed, and started again by the command."""
    before = service.serving()
    os.kill(service.proxy_pid(), signal.SIGKILL)
    seconds = wait_until(lambda: service.serving() == before, "HAProxy is back")
    with connect(service, "client") as client:
        ask(client.post(f"{service.url}{PATH}", json=BODY))
    return Row("HAProxy killed (kill -9)", f"answers again {seconds:.1f} s later, with the same replicas")


def hang(service: Service) -> Row:
    """A replica that stood still was left out and replaced."""
    victim = service.status()["replicas"][0]
    dead = f"{victim['host']}:{victim['port']}"
    family = _find_server(victim["port"])
    for process in family:
        process.suspend()
    out = wait_until(lambda: dead not in service.serving(), "the proxy leaves it out")
    rest = wait_until(lambda: len(service.serving()) >= LEAST, "it is replaced", LONG_SECONDS)
    wait_until(
        lambda: (
            not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)
        ),
        "it is gone",
    )
    return Row(
        "a replica whose processes stand still (SIGSTOP)",
        f"out of the proxy after {out:.1f} s, replaced after {out + rest:.0f} s, its processes gone",
    )


def refuse_strangers(service: Service) -> Row:
    """Whoever has another token, or none, was refused, and was told so."""
    asked = "cluster", "status", "--address", service.nodes.address
    others = {"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}
    for environment in others:
        done = service.run(*asked, **environment)
        check(done.returncode == 1, f"with {environment} the command ends with {done.returncode}")
        check("token" in done.stderr, f"with {environment} the command says {done.stderr}")
    return Row("`adaptact cluster status` with another token, and with none", "refused, with the reason")


def kill_node(service: Service) -> list[Row]:
    """A node was killed under load: what was in flight failed, retries did not, a new replica came."""
    victim = service.status()["replicas"][0]
    dead = f"{victim['host']}:{victim['port']}"
    with service.load() as load:
        sleep(2)
        killed = monotonic()
        for process in _find_server(victim["port"]):
            process.kill()  # a power failure leaves nothing time to end in order
        service.nodes.kill(victim["node"])
        retried = _predict_with_retries(service)
        wait_until(
            lambda: len(service.serving()) >= LEAST and dead not in service.serving(), "healed", LONG_SECONDS
        )
        healed = monotonic() - killed
        sleep(2)
    service.nodes.add()
    check(load.failures <= CLIENTS, f"more failed than were in flight: {dict(load.outcomes)}")
    return [
        Row(
            f"a node killed under load of {CLIENTS} clients",
            f"{load.failures} of {sum(load.outcomes.values()):,} failed; at most {CLIENTS} were in flight",
        ),
        Row("our client, which repeats what failed, meanwhile", f"{retried} of {retried} answered"),
        Row("until there were as many replicas as before", f"{healed:.0f} s after the kill"),
    ]


def lose_head(service: Service) -> Row:
    """Replicas went on while their nodes waited for the head, and then ended."""
    service.command.start()
    with service.load() as load:
        sleep(2)
        killed = monotonic()
        service.nodes.kill_head()
        done = service.run("cluster", "status", "--address", service.nodes.address)
        check(done.returncode == 1, f"`adaptact cluster status` without a head ends with {done.returncode}")
        wait_until(lambda: load.failures > 0, "replicas end", LONG_SECONDS)
        served = monotonic() - killed
        wait_until(lambda: not service.serving(), "all replicas end", LONG_SECONDS)
    wait_until(service.command.has_ended, "the command ends", LONG_SECONDS)  # else it starts another proxy
    os.kill(service.proxy_pid(), signal.SIGTERM)
    check(served > WAITING_SECONDS, f"replicas served for {served:.0f} s only: {dict(load.outcomes)}")
    cut = load.failures - load.outcomes["503"]
    check(cut <= CLIENTS, f"more were cut off than were in flight: {dict(load.outcomes)}")
    return Row(
        f"the head's process that knows the cluster killed under load of {CLIENTS} clients",
        f"replicas served for {served:.0f} s more, {load.outcomes['200']:,} requests; then they ended, "
        f"{cut} requests were cut off, and HAProxy answered 503",
    )


def _predict_with_retries(service: Service) -> int:
    ones = np.ones((1, 3), np.float32)
    trust = ssl.create_default_context(cafile=str(service.certificates.authority))
    with Client(service.url, api_key=service.keys["client"], transport=Transport(tls=trust)) as client:
        for _ in range(RETRIED):
            client.infer("digits", {"x": ones})
    return RETRIED


def _find_server(port: int) -> list[psutil.Process]:
    """The processes of the server that listens on the port."""
    pids = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.pid
        and getattr(connection.laddr, "port", 0) == port
    }
    server = min(map(psutil.Process, pids), key=psutil.Process.create_time)
    return [server, *server.children(recursive=True)]
