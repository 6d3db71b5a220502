"""What is done to the fleet, and what must come of it."""

import json
import re
import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

import httpx
import numpy as np

from serve.client import Client, Transport
from tests.docker.paths import DOCKER
from tests.fleet.fleet import Fleet
from tests.fleet.load import BODY, PATH, Load
from tests.fleet.program import check, wait_until

CLIENTS = 4
UNITS = 200
RETRIED = 100
ALERT_SECONDS = 300.0
WARM_SECONDS = 75.0  # two scrapes and more, so that rates over a minute have values


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page: what was done, and what came of it."""

    drill: str
    outcome: str


def start_experiment(fleet: Fleet) -> Row:
    """The experiment runs, and each unit meets the same model at either server."""
    admin = {"Authorization": f"Bearer {fleet.keys['admin']}"}
    one = f"http://{fleet.addresses[0]}"
    _ask(httpx.put(f"{one}/adaptact/v1/models/digits/aliases/stable", json={"version": "1"}, headers=admin))
    two = f"http://{fleet.addresses[1]}"
    _ask(httpx.put(f"{two}/adaptact/v1/models/digits/aliases/stable", json={"version": "1"}, headers=admin))
    for verb in ("start", "advance"):
        url = f"{one}/adaptact/v1/experiments/triple:{verb}"
        _ask(httpx.post(url, json={"reason": "drill"}, headers=admin))
    wait_until(lambda: _versions(fleet, two, 20) >= {"1", "2"}, "the second server follows the experiment")
    answers = [
        [_version(fleet, f"http://{address}", unit) for unit in range(UNITS)] for address in fleet.addresses
    ]
    check(answers[0] == answers[1], "units meet other models at the other server")
    share = answers[0].count("2") / UNITS
    return Row(
        f"an experiment with half of the units, {UNITS} of them asked at both servers",
        f"each unit the same model at both; {share:.0%} met the candidate (expected: a quarter)",
    )


def restart_in_turn(fleet: Fleet) -> Row:
    """Each server was restarted under load, and no request failed."""
    with _load(fleet) as load:
        sleep(2)
        for server in fleet.servers:
            server.stop()
            server.start()
            sleep(2)
    check(load.failures == 0, f"requests failed in rolling restarts: {dict(load.outcomes)}")
    return Row(
        f"both servers restarted in turn under load of {CLIENTS} clients",
        f"{load.outcomes['200']:,} requests, none failed",
    )


def kill_one(fleet: Fleet) -> list[Row]:
    """One server was killed under load, the alert came, and another when it was back."""
    with _load(fleet) as load:
        sleep(2)
        killed = monotonic()
        fleet.servers[0].stop(signal.SIGKILL)
        sleep(2)
        retried = _predict_with_retries(fleet)
        sleep(3)
    check(load.failures <= CLIENTS, f"more failed than were in flight: {dict(load.outcomes)}")
    rows = [
        Row(
            f"one server killed under load of {CLIENTS} clients",
            f"{load.failures} of {sum(load.outcomes.values()):,} failed; at most {CLIENTS} were in flight",
        ),
        Row("our client, which repeats what failed, meanwhile", f"{retried} of {retried} answered"),
    ]
    address = fleet.addresses[0]
    _wait_for_alert(fleet, address, "firing")
    rows.append(Row("alert of the killed server", f"came {monotonic() - killed:.0f} s after the kill"))
    fleet.servers[0].start()
    back = monotonic()
    _wait_for_alert(fleet, address, "resolved")
    rows.append(Row("word that it is back", f"came {monotonic() - back:.0f} s after it answered"))
    return rows


def query_dashboard(fleet: Fleet) -> Row:
    """Every query of the dashboard was answered with data, after a minute of load with some refusals."""
    with _load(fleet):
        began = monotonic()
        while monotonic() < began + WARM_SECONDS:
            for address in fleet.addresses:
                httpx.post(f"http://{address}{PATH}", json=BODY)  # without a key
            sleep(1)
        queries = list(_list_queries())
        empty = [query for query in queries if not _query(fleet, query)]
    check(not empty, f"queries of the dashboard without data: {empty}")
    return Row(
        "queries of the dashboard's panels, asked of Prometheus",
        f"{len(queries)} of {len(queries)} have data",
    )


def ask_what_concerns_one_server(fleet: Fleet) -> Row:
    """The proxy passes nothing on that concerns one server."""
    paths = ("/v2/repository/models/digits/unload", "/metrics", "/console", "/adaptact/v1/live")
    with _connect(fleet, "admin") as client:
        statuses = [client.request("POST" if "unload" in path else "GET", path).status_code for path in paths]
    check(statuses == [403] * len(paths), f"the proxy passed on what concerns one server: {statuses}")
    return Row("`" + "`, `".join(paths) + "` through the proxy", "403, with what to do")


def _load(fleet: Fleet) -> Load:
    return Load(fleet.proxy_url, fleet.certificates.authority, fleet.keys["client"], CLIENTS)


def _connect(fleet: Fleet, role: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {fleet.keys[role]}"}
    return httpx.Client(base_url=fleet.proxy_url, verify=_trust(fleet), headers=headers, timeout=60)


def _trust(fleet: Fleet) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(fleet.certificates.authority))


def _ask(answer: httpx.Response) -> Any:
    check(
        answer.is_success, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}"
    )
    return answer


def _version(fleet: Fleet, url: str, unit: int) -> str:
    headers = {"Authorization": f"Bearer {fleet.keys['client']}", "X-Adaptact-Unit": f"unit-{unit}"}
    answer = _ask(httpx.post(f"{url}{PATH}", json=BODY, headers=headers)).json()
    return {2.0: "1", 3.0: "2"}[answer["outputs"][0]["data"][0]]


def _versions(fleet: Fleet, url: str, units: int) -> set[str]:
    return {_version(fleet, url, unit) for unit in range(units)}


def _predict_with_retries(fleet: Fleet) -> int:
    ones = np.ones((1, 3), np.float32)
    transport = Transport(tls=_trust(fleet))
    with Client(fleet.proxy_url, api_key=fleet.keys["client"], transport=transport) as client:
        for _ in range(RETRIED):
            client.infer("digits", {"x": ones})
    return RETRIED


def _wait_for_alert(fleet: Fleet, address: str, status: str) -> None:
    wait_until(
        lambda: fleet.alerts.has("AdaptactDown", address, status), f"AdaptactDown is {status}", ALERT_SECONDS
    )


def _list_queries() -> Iterator[str]:
    board = json.loads((DOCKER / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield re.sub(r"\$__rate_interval", "1m", target["expr"].replace("$model", ".*"))


def _query(fleet: Fleet, query: str) -> list[Any]:
    answer = _ask(httpx.get(f"{fleet.prometheus_url}/api/v1/query", params={"query": query})).json()
    values = [each for each in answer["data"]["result"] if each["value"][1] != "NaN"]
    return values
