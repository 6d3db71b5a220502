"""The routes of plans and of looks, in the application."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from serve.experiments.parsing import parse_experiment
from serve.experiments.plans import Assumptions
from serve.experiments.store.database import now
from serve.experiments.store.feedback import Feedback, accept
from serve.rest.access import right_for
from serve.rollout import planning
from serve.rollout.rollout import Rollout
from tests.serve.experiments.definitions import make_document
from tests.serve.experiments.store.rows import put_exposure
from tests.serve.in_process import Client

EXPERIMENTS = "/adaptact/v1/experiments"
BINARY = {"name": "bought", "kind": "binary", "is_primary": True}
DOCUMENT = make_document(
    control={"name": "control", "version": "1"},
    stages={"shadow_share": 0},
    metrics=[BINARY, {"name": "unknown", "kind": "mean"}],
    guardrails=[{"kind": "error_rate"}, {"kind": "latency"}],
)


class Planned:
    def __init__(self, client: Client, rollout: Rollout) -> None:
        self.client = client
        self.rollout = rollout

    def plan(self, document: Any = DOCUMENT, query: str = "") -> httpx.Response:
        return self.client.post(f"{EXPERIMENTS}:plan{query}", document)

    def report(self, units: int = 400) -> None:
        """Three of ten units buy."""
        hash_unit = self.rollout.ids.hash_unit
        outcomes = [
            Feedback("bought", float(n % 10 < 3), unit=hash_unit(str(n)), at=1_700_000_000_000_000)
            for n in range(units)
        ]
        assert accept(self.rollout.store, outcomes).new == units


@pytest.fixture
def planned(experimenting: Client, rollout: Rollout) -> Planned:
    return Planned(experimenting, rollout)


def test_a_definition_is_planned_from_what_was_reported_before_it(planned: Planned) -> None:
    planned.report()
    plan = planned.plan(query="?units_per_day=500").json()
    (bought,) = plan["metrics"]
    assert bought["value"] == pytest.approx(0.3)
    assert 0 < bought["units_at_once"] < bought["units"]
    assert bought["days"] == pytest.approx(bought["units"] / 500)
    assert (plan["days"], plan["traffic"]) == (10, "given")
    assert (plan["unplanned_metrics"], plan["unplanned_guardrails"]) == (["unknown"], ["latency"])
    assert planned.client.get(EXPERIMENTS).json()["experiments"] == []


def test_requests_to_the_model_are_its_traffic(planned: Planned) -> None:
    inputs = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
    before = planned.plan().json()
    assert (before["assumptions"]["units_per_day"], before["days"]) == (0, None)
    for _ in range(3):
        assert planned.client.post("/v2/models/digits/infer", inputs).status_code == 200
    plan = planned.plan().json()
    assert plan["traffic"] == "server"
    assert plan["assumptions"]["units_per_day"] > 0
    assert plan["unplanned_guardrails"] == []
    assert {guardrail["kind"] for guardrail in plan["guardrails"]} == {"error_rate", "latency"}


def test_an_experiment_that_runs_is_planned_by_its_own_units(planned: Planned) -> None:
    assert planned.client.request("PUT", f"{EXPERIMENTS}/exp", _write(DOCUMENT)).status_code == 200
    planned.client.post(f"{EXPERIMENTS}/exp:start")
    for number in range(4):
        at = now() - 3_600_000_000
        put_exposure(planned.rollout.store, number, at, experiment="exp", variant="control")
    plan = planned.client.get(f"{EXPERIMENTS}/exp/plan").json()
    assert plan["traffic"] == "experiment"
    assert plan["assumptions"]["units_per_day"] == pytest.approx(96, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "query", "status"),
    [
        ({**DOCUMENT, "colour": 1}, "", 400),
        ({**DOCUMENT, "model": "nothing"}, "", 404),
        (DOCUMENT, "?change=0", 400),
        (DOCUMENT, "?power=nan", 400),
        (DOCUMENT, "?units_per_day=inf", 400),
    ],
)
def test_what_cannot_be_planned_is_refused(planned: Planned, document: Any, query: str, status: int) -> None:
    assert planned.plan(document, query).status_code == status


@pytest.mark.parametrize("query", ["?harm=1&units_per_day=10", "?harmful_share=1&change=10", "?change=1e-9"])
def test_extreme_assumptions_have_a_plan(planned: Planned, query: str) -> None:
    planned.report()
    assert planned.plan(query=query).status_code == 200


def test_an_unknown_experiment_has_no_plan_and_no_looks(planned: Planned) -> None:
    assert planned.client.get(f"{EXPERIMENTS}/exp/plan").status_code == 404
    assert planned.client.get(f"{EXPERIMENTS}/exp/looks").status_code == 404


def test_plans_that_are_asked_for_together_are_made_one_by_one(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0

    def make(*_: Any) -> tuple[()]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)  # another one would begin meanwhile
        running -= 1
        return ()

    monkeypatch.setattr(planning, "plan_metrics", make)

    async def ask() -> list[dict[str, Any]]:
        experiment = parse_experiment(DOCUMENT)
        plans = (planned.rollout.planner.plan(experiment, Assumptions(1)) for _ in range(3))
        return await asyncio.gather(*plans)

    assert len(asyncio.run(ask())) == 3
    assert most == 1


def test_looks_are_spread_over_the_whole_comparison(planned: Planned) -> None:
    planned.client.request("PUT", f"{EXPERIMENTS}/exp", _write(DOCUMENT))
    for at in range(1000, 1100):
        planned.rollout.registry.keep_look("exp", 1, at, {"results": {"at": at}})
    looks = planned.client.get(f"{EXPERIMENTS}/exp/looks?most=10").json()["looks"]
    assert [look["at"] for look in looks] == [1009, 1019, 1029, 1039, 1049, 1059, 1069, 1079, 1089, 1099]
    assert looks[-1]["results"] == {"at": 1099}
    assert len(planned.client.get(f"{EXPERIMENTS}/exp/looks?most=1000").json()["looks"]) == 100


def test_planning_changes_nothing_and_needs_no_more_than_reading() -> None:
    assert right_for("POST", f"{EXPERIMENTS}:plan") == "metrics"
    assert right_for("GET", f"{EXPERIMENTS}/exp/plan") == "metrics"
    assert right_for("GET", f"{EXPERIMENTS}/exp/looks") == "metrics"


def _write(document: Any) -> bytes:
    return httpx.Request("PUT", "http://server", json=document).content
