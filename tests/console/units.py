"""An experiment on a live server with simulated units: versions that are alike, and outcomes that are not."""

import json
import random
from pathlib import Path
from typing import Any

import httpx

from tests.console.models import scores_model
from tests.serve.models import put

NAME, MODEL = "smoother-sorter", "sorter"
HOSTILE_REASON = "<img src=x onerror=\"document.title='harmed'\">"
HOSTILE_UNIT = "<b>tester</b>${1+1}"
UNITS = 120
DEFINITION = {
    "name": NAME,
    "model": MODEL,
    "control": {"name": "today", "version": "1"},
    "candidates": [{"name": "learned", "version": "2"}],
    "stages": {"steps": [50, 100], "auto_advance": False},
    "metrics": [{"name": "accepted", "kind": "binary", "is_primary": True}],
    "guardrails": [{"kind": "error_rate"}, {"kind": "latency"}],
    "planned_units": 1000,
    "price_per_cpu_hour": 0.05,
    "allow_list": {HOSTILE_UNIT: "learned"},
}


def run_experiment(url: str, folder: Path) -> None:
    """Define and start the experiment, let units meet it in shadow and on the whole ramp, report outcomes."""
    put(folder, MODEL, scores_model())
    put(folder, MODEL, scores_model(), "2")
    with httpx.Client(base_url=url, timeout=60) as client:
        ask(client, "POST", f"/v2/repository/models/{MODEL}/load", {})
        ask(client, "PUT", f"/adaptact/v1/models/{MODEL}/aliases/stable", {"version": "1"})
        ask(client, "PUT", f"/adaptact/v1/experiments/{NAME}", DEFINITION)
        act(client, "start", HOSTILE_REASON)
        _meet(client, "shadow", 20)
        act(client, "advance", "")
        act(client, "advance", "all of them")
        _report(client, _meet(client, "unit", UNITS))


def act(client: httpx.Client, name: str, reason: str) -> None:
    """Change the experiment."""
    ask(client, "POST", f"/adaptact/v1/experiments/{NAME}:{name}", {"reason": reason})


def ask(client: httpx.Client, method: str, path: str, content: object = None) -> Any:
    """The answer's content; the request must succeed."""
    answered = client.request(method, path, json=content)
    assert answered.status_code == 200, answered.text
    return answered.json()


def _meet(client: httpx.Client, kind: str, count: int) -> dict[str, str]:
    """The variant of each unit that has one."""
    met = {}
    for unit in (f"{kind}-{number}" for number in range(count)):
        row = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
        headers = {"X-Adaptact-Unit": unit}
        answered = client.post(f"/v2/models/{MODEL}/infer", json={"inputs": [row]}, headers=headers)
        assert answered.status_code == 200
        if variant := answered.headers.get("X-Adaptact-Variant"):
            met[unit] = variant
    return met


def _report(client: httpx.Client, met: dict[str, str]) -> None:
    chance = random.Random(0)
    shares = {"today": 0.2, "learned": 0.8}
    rows = [
        {"metric": "accepted", "unit": unit, "value": int(chance.random() < shares[variant])}
        for unit, variant in met.items()
    ]
    content = "\n".join(map(json.dumps, rows))
    kind = {"Content-Type": "application/x-ndjson"}
    assert client.post("/adaptact/v1/feedback:bulk", content=content, headers=kind).json()["new"] == len(rows)
