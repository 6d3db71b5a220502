"""The findings as JSON."""

import json
from typing import Any

import pytest

from serve.experiments.findings import ShadowPairs
from serve.experiments.plans import Assumptions, plan_guardrails
from serve.experiments.results import write_results
from serve.experiments.statistics.samples import Counts
from serve.experiments.verdicts import Evidence, judge
from tests.serve.experiments.judged import define, gather, observe


def _write(evidence: Evidence, **changes: Any) -> dict[str, Any]:
    """The results, after a way through strict JSON."""
    experiment = define(**changes)
    results = write_results(experiment, evidence.observations, judge(experiment, evidence))
    written: dict[str, Any] = json.loads(json.dumps(results, allow_nan=False))
    return written


def test_results_hold_the_verdict_and_what_it_rests_on() -> None:
    results = _write(gather(100, 200, units_per_day=300.0), price_per_cpu_hour=0.05)
    assert results["verdict"] == "better"
    assert results["sentence"].startswith("v2 is better than v1.")
    (metric,) = results["metrics"]
    assert (metric["name"], metric["kind"], metric["finding"]) == ("accepted", "binary", "better")
    assert [variant["value"] for variant in metric["variants"]] == [0.1, 0.2]
    assert metric["effect"] == pytest.approx(0.1)
    assert 0 < metric["low"] < metric["effect"] < metric["high"]
    assert len(results["guardrails"]) == 5
    assert results["sample_ratio"]["units"] == {"v1": 1000, "v2": 1000}
    assert results["progress"] == {
        "units": 2000,
        "planned_units": 5000,
        "open_units": 0,
        "days_to_go": 10.0,
    }
    assert results["costs"]["v2"]["price_per_million"] == pytest.approx(1.5 * 1000 / 3600 * 0.05)
    assert results["costs"]["v2"]["latency_us"]["p50"] == pytest.approx(2000, rel=0.1)


@pytest.mark.parametrize("evidence", [Evidence({}), gather(0, 0), gather(0, 0, units=1)])
def test_nothing_known_is_null_and_valid_json(evidence: Evidence) -> None:
    results = _write(evidence)
    assert results["verdict"] == "undecided"
    assert results["metrics"][0]["low"] in (None, 0)  # of a ratio
    assert results["metrics"][0]["high"] is None
    assert results["shadow"] == []


def test_shadow_is_part_of_the_results() -> None:
    pairs = {"v2": ShadowPairs(Counts(1000, 950), only_control=5, only_candidate=20)}
    (shadow,) = _write(gather(0, 0, is_shadow=True, pairs=pairs))["shadow"]
    assert shadow["agreement"]["effect"] == 0.95
    assert shadow["wins"]["effect"] == 4


def test_the_sentence_may_be_japanese() -> None:
    experiment, evidence = define(), gather(100, 200)
    results = write_results(experiment, evidence.observations, judge(experiment, evidence), "ja")
    assert "優れています" in results["sentence"]


def test_guardrails_say_within_how_many_units_they_stop_harm() -> None:
    evidence = gather(100, 100)
    stated = plan_guardrails(define(), observe(100), Assumptions(1000))
    verdict = judge(define(), evidence)
    results = write_results(define(), evidence.observations, verdict, stated=stated)
    stops = {guardrail["kind"]: guardrail["stops_within"] for guardrail in results["guardrails"]}
    assert stops["latency"] == {"harm": 3.0, "units": pytest.approx(400, rel=0.5), "share": 0.95}
    assert all(stop["units"] > 0 for stop in stops.values())
    assert write_results(define(), {}, verdict)["guardrails"][0]["stops_within"] is None
