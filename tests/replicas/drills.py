"""What is asked of the cluster, and what must come of it."""

from collections import Counter
from functools import partial
from time import monotonic, sleep

import httpx
import numpy as np
import psutil

from tests.fleet.drills import Row
from tests.fleet.load import BODY, PATH
from tests.fleet.program import check, wait_until
from tests.replicas.asking import ask, connect, require_no_failure
from tests.replicas.service import CLIENTS, LEAST, LONG_SECONDS, MOST, Service
from tests.serve.process import ServerProcess

REQUESTS = 50
UNITS = 100
BUSY_CLIENTS = 12
SLOW = "/v2/models/slow/infer", {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]}


def start(service: Service) -> Row:
    """The command was started, and the replicas are on all nodes."""
    seconds = service.command.start()
    nodes = Counter(one["node"] for one in service.status()["replicas"] if one["serves"])
    check(len(nodes) == LEAST, f"the replicas are not on {LEAST} nodes: {nodes}")
    return Row(
        f"`adaptact serve --cluster --min-replicas {LEAST}`",
        f"{LEAST} replicas on {len(nodes)} nodes after {seconds:.0f} s",
    )


def compare(service: Service) -> Row:
    """Every replica gives the bytes of a single server, and so does the proxy."""
    random = np.random.default_rng(7)
    bodies = [
        {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": rows.ravel().tolist()}]}
        for rows in random.standard_normal((REQUESTS, 2, 3)).astype(np.float32) * 10
    ]
    with ServerProcess("--models", str(service.folder / "models")) as single:
        expected = [httpx.post(f"{single.url}/v2/models/net/infer", json=body).content for body in bodies]
        single.stop()
    urls = [service.url, *_find_urls(service)]
    with connect(service, "client") as client:
        for url in urls:
            given = [client.post(f"{url}/v2/models/net/infer", json=body).content for body in bodies]
            check(given == expected, f"{url} answers otherwise than a single server")
    return Row(
        f"{REQUESTS} requests to a single server, each replica, and the proxy", "the same bytes from all"
    )


def share_experiment(service: Service) -> Row:
    """Each unit meets the same model at every replica."""
    urls = _find_urls(service)
    with connect(service, "admin") as admin:
        _set_alias(admin, urls, "stable", "1")
        for verb in ("start", "advance"):
            ask(admin.post(f"{urls[0]}/adaptact/v1/experiments/triple:{verb}", json={"reason": "drill"}))
        for url in urls:
            follows = partial(_follows, admin, url)
            wait_until(follows, f"{url} follows the experiment")
        answers = [[_ask_unit(admin, url, unit) for unit in range(UNITS)] for url in urls]
    check(all(one == answers[0] for one in answers), "units meet other models at another replica")
    share = answers[0].count(3.0) / UNITS
    return Row(
        f"an experiment with half of the units, {UNITS} of them asked at each replica",
        f"each unit the same model at all; {share:.0%} met the candidate (expected: a quarter)",
    )


def share_alias(service: Service) -> Row:
    """An alias that was set at one replica is everywhere."""
    urls = _find_urls(service)
    with connect(service, "admin") as admin:
        seconds = _set_alias(admin, urls, "canary", "3")
    return Row("an alias set at one replica", f"at all of them {seconds:.1f} s later")


def scale(service: Service) -> Row:
    """More in flight brought replicas, less took them away, and no request failed."""
    with service.load(1) as quiet:
        with service.load(BUSY_CLIENTS, SLOW) as busy:
            up = wait_until(lambda: len(service.serving()) == MOST, "as many as may be", LONG_SECONDS)
            sleep(5)
        down = wait_until(lambda: len(service.serving()) == LEAST, "as few as may be", LONG_SECONDS)
        sleep(5)
    check(quiet.failures + busy.failures == 0, f"failed: {dict(quiet.outcomes)}, {dict(busy.outcomes)}")
    count = quiet.outcomes["200"] + busy.outcomes["200"]
    return Row(
        f"{BUSY_CLIENTS} clients of a slow model, and then none",
        f"{MOST} replicas after {up:.0f} s, {LEAST} again {down:.0f} s after the last request; "
        f"{count:,} requests, none failed",
    )


def update(service: Service) -> Row:
    """Every replica was replaced, and no request failed."""
    before = service.serving()
    with service.load() as load:
        began = monotonic()
        done = service.run("cluster", "update", "--address", service.nodes.address)
        seconds = monotonic() - began
        sleep(2)
    check(done.returncode == 0, f"`adaptact cluster update` ends with {done.stderr}")
    check(not before & service.serving(), "a replica was not replaced")
    require_no_failure(load)
    return Row(
        f"`adaptact cluster update` under load of {CLIENTS} clients",
        f"{LEAST} replicas replaced in {seconds:.0f} s; {load.outcomes['200']:,} requests, none failed",
    )


def update_brokenly(service: Service) -> Row:
    """Settings with which no replica becomes ready were given up, and nothing else happened."""
    before = service.serving()
    with service.load() as load:
        done = service.run("serve", *service.options, "--require-parity")
    check(done.returncode == 1, f"a broken update ends with {done.returncode}")
    check("was not ready" in done.stderr, f"a broken update says {done.stderr}")
    check(service.serving() == before, "a broken update has changed the replicas")
    require_no_failure(load)
    return Row(
        "the command again with `--require-parity`, which the models do not pass",
        f"it ends with 1; the same replicas serve; {load.outcomes['200']:,} requests meanwhile, none failed",
    )


def stop(service: Service) -> Row:
    """All of it has ended."""
    pid = service.proxy_pid()
    done = service.run("cluster", "stop", "--address", service.nodes.address)
    check(done.returncode == 0, f"`adaptact cluster stop` ends with {done.stderr}")
    wait_until(
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE,
        "HAProxy ends",
    )
    left = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "serve.workers" in (process.info["cmdline"] or ())
        and str(service.folder) in str(process.environ())
    ]
    check(not left, f"servers are left: {left}")
    return Row("`adaptact cluster stop`", "no replica, no HAProxy and no command is left")


def _find_urls(service: Service) -> list[str]:
    return [f"https://{address}" for address in sorted(service.serving())]


def _set_alias(client: httpx.Client, urls: list[str], alias: str, version: str) -> float:
    """The seconds until all replicas have it, of which the first was asked to set it."""
    path = "/adaptact/v1/models/digits/aliases"
    ask(client.put(f"{urls[0]}{path}/{alias}", json={"version": version}))
    return wait_until(
        lambda: all(alias in client.get(f"{url}{path}").text for url in urls), "all have the alias"
    )


def _follows(client: httpx.Client, url: str) -> bool:
    """Whether units meet both models."""
    return {_ask_unit(client, url, unit) for unit in range(20)} >= {2.0, 3.0}


def _ask_unit(client: httpx.Client, url: str, unit: int) -> float:
    headers = {"X-Adaptact-Unit": f"unit-{unit}"}
    answer = ask(client.post(f"{url}{PATH}", json=BODY, headers=headers)).json()
    return float(answer["outputs"][0]["data"][0])
