"""Experiments of a real server of two workers from their traffic to what comes of them.

Its guardrails stop each harmful candidate within the units that the plan states, a broken split is called
invalid, and a promotion fails no request.
"""

import math
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest

from serve.experiments.findings import Behaviour, Observations
from serve.experiments.plans import Assumptions, plan_guardrails
from serve.experiments.reading import read_experiments
from serve.experiments.statistics.samples import Counts, LogHistogram
from serve.experiments.store.database import FILE
from tests.serve import models
from tests.serve.process import ServerProcess
from tests.serve.rollout.variants import PICKY, TRIPLE
from tests.serve.workers.running import WORKERS
from tests.waiting import SECONDS, until

NAN = "nan (float[N, 3] x) => (float[N, 3] y) { zero = Sub(x, x) y = Div(zero, zero) }"
SLOW = models.LOOP.format(turns=5_000).replace("float[N]", "float[N, 3]")
CANDIDATES = {"failing": PICKY, "nan": NAN, "slow": SLOW, "same": TRIPLE, "better": TRIPLE}
GUARDRAILS = {"failing": "error_rate", "nan": "nan", "slow": "latency"}
API = "/adaptact/v1/experiments"
REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
UNITS_PER_SECOND = 60
"""Of each experiment: few enough for all answers to be kept."""

pytestmark = pytest.mark.slow


def definition(name: str) -> str:
    kind = GUARDRAILS.get(name)
    return f"""
  - name: {name}
    model: {name}
    control: {{name: control, version: 1}}
    candidates: [{{name: candidate, version: 2}}]
    stages: {{shadow_share: 0, steps: [100], auto_advance: false}}
    metrics: [{{name: bought, kind: binary, is_primary: true}}]
    guardrails: [{f"{{kind: {kind}}}" if kind else ""}]"""


class Experiments:
    """A server in which all of them run, and its store."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.client = httpx.Client(base_url=server.url, timeout=SECONDS)
        self.clients = [httpx.Client(base_url=server.url, timeout=SECONDS) for _ in range(WORKERS)]

    def act(self, name: str, act: str) -> None:
        self.client.post(f"{API}/{name}:{act}", json={}).raise_for_status()

    def read(self, name: str, what: str = "") -> Any:
        return self.client.get(f"{API}/{name}{what}").raise_for_status().json()

    def ask(self, name: str, number: int, worker: int | None = None) -> httpx.Response:
        """What the unit of this number is answered, by turns by each worker."""
        client = self.clients[number % WORKERS if worker is None else worker]
        headers = {"x-adaptact-unit": f"unit-{number}"}
        return client.post(f"/v2/models/{name}/infer", json=REQUEST, headers=headers)

    def followers(self, name: str) -> int:
        """How many workers have the experiment; of a failing candidate the control's units show it."""
        return sum(
            any("x-adaptact-variant" in self.ask(name, number, worker).headers for number in range(8))
            for worker in range(WORKERS)
        )

    def is_followed(self, name: str, by: int = WORKERS) -> bool:
        """Whether so many workers have the experiment."""
        return self.followers(name) == by

    def is_in(self, name: str, stage: str) -> bool:
        """Whether the experiment is in this stage."""
        return bool(self.read(name)["phase"]["stage"] == stage)

    def change_store(self, statement: str) -> None:
        with (
            closing(sqlite3.connect(self.folder / "store" / FILE, timeout=SECONDS)) as connection,
            connection,
        ):
            connection.execute(statement)

    def close(self) -> None:
        for client in (self.client, *self.clients):
            client.close()


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiments]:
    folder = tmp_path_factory.mktemp("experiments")
    for name, text in CANDIDATES.items():
        models.put(folder / "models", name, models.model(models.DOUBLE), "1")
        models.put(folder / "models", name, models.model(text), "2")
    file = folder / "experiments.yaml"
    file.write_text("experiments:" + "".join(map(definition, CANDIDATES)))
    store = ("--experiments", str(file), "--experiments-store", str(folder / "store"))
    arguments = ("--models", str(folder / "models"), "--workers", str(WORKERS), *store)
    with ServerProcess(*arguments) as server, closing(Experiments(server, folder)) as opened:
        for name in CANDIDATES:
            alias = f"/adaptact/v1/models/{name}/aliases/stable"
            opened.client.put(alias, json={"version": "1"}).raise_for_status()
            opened.act(name, "start")
            assert opened.is_followed(name)
        yield opened


def planned_units(folder: Path, name: str) -> int:
    """How many units the plan states for a harm that is no larger than the candidate's."""
    (experiment,) = [each for each in read_experiments(folder / "experiments.yaml") if each.name == name]
    latency = LogHistogram.of(np.random.default_rng(0).lognormal(5, 0.5, 1000))
    control = Observations(behaviour=Behaviour(Counts(1000, 0), Counts(1000, 0), latency))
    (plan,) = plan_guardrails(experiment, control, Assumptions(1000, harm=2.0, harmful_share=0.9))
    return math.ceil(plan.units)


def test_each_harmful_candidate_is_stopped_within_the_planned_units(experiments: Experiments) -> None:
    planned = {name: planned_units(experiments.folder, name) for name in GUARDRAILS}
    assert max(planned.values()) < 1000
    for number in range(WORKERS, max(planned.values())):
        began = time.monotonic()
        for name, units in planned.items():
            if number < units:
                experiments.ask(name, number)
        time.sleep(max(0.0, 1 / UNITS_PER_SECOND - (time.monotonic() - began)))
    for name, kind in GUARDRAILS.items():
        until(partial(experiments.is_in, name, "stopped"))
        assert f"`{kind}` of `candidate`" in experiments.read(name)["phase"]["reason"]
        until(partial(experiments.is_followed, name, by=0))


def test_a_broken_split_is_called_invalid(experiments: Experiments) -> None:
    for number in range(400):
        experiments.ask("same", number)
    until(lambda: sum(experiments.read("same", "/results")["exposures"].values()) == 400)
    assert experiments.read("same", "/results")["verdict"] == "undecided"
    # As if a part of the candidate's units got lost on their way.
    where = "experiment = 'same' AND variant = 'candidate' AND substr(hex(unit), 1, 1) < 'A'"
    experiments.change_store(f"DELETE FROM exposures WHERE {where}")
    assert experiments.read("same", "/results")["verdict"] == "invalid"
    until(partial(experiments.is_in, "same", "paused"))


def test_a_promotion_moves_the_alias_and_fails_no_request(experiments: Experiments) -> None:
    ended, statuses, answered = Event(), set(), set()

    def ask(client: httpx.Client) -> None:
        while not ended.wait(0.005):
            reply = client.post("/v2/models/better/infer", json=REQUEST)
            statuses.add(reply.status_code)
            answered.add(str(reply.json().get("outputs", [{}])[0].get("data")))

    def is_promoted() -> bool:
        answers = [client.post("/v2/models/better/infer", json=REQUEST) for client in experiments.clients]
        return all(
            answer.json()["outputs"][0]["data"] == [3.0, 6.0, 9.0]
            and "x-adaptact-variant" not in answer.headers
            for answer in answers
        )

    with ThreadPoolExecutor(WORKERS) as threads:
        clients = [httpx.Client(base_url=experiments.server.url, timeout=SECONDS) for _ in range(WORKERS)]
        asked = [threads.submit(ask, client) for client in clients]
        try:
            until(lambda: len(answered) == 2)
            experiments.act("better", "promote")
            assert is_promoted()
        finally:
            ended.set()
        for each in asked:
            each.result()
        for client in clients:
            client.close()
    assert statuses == {200}
    assert answered == {"[2.0, 4.0, 6.0]", "[3.0, 6.0, 9.0]"}
