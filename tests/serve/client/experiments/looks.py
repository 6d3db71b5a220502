"""Results as a server writes them."""

from typing import Any

COST = {
    "latency_us": {"p50": 1000.0, "p95": 2000.0, "p99": None},
    "model_bytes": None,
    "run_seconds_per_thousand": 0.5,
    "cpu_seconds_per_thousand": 0.4,
    "price_per_million": None,
}


def make_results(width: float | None = 0.05, **fields: Any) -> dict[str, Any]:
    """The effect is 0.02, in an interval so wide to each side; None where nothing is known of it."""
    metric = {
        "name": "bought",
        "kind": "binary",
        "is_primary": True,
        "candidate": "candidate",
        "variants": [
            {"name": "control", "value": 0.3, "units": 500},
            {"name": "candidate", "value": 0.32, "units": 510},
        ],
        "scale": "difference",
        "of_failures": False,
        "effect": 0.02,
        "low": None if width is None else 0.02 - width,
        "high": None if width is None else 0.02 + width,
        "log_e": 0.5,
        "finding": "undecided",
        "looks": 3,
        "is_steady": True,
    }
    guardrail = {
        "kind": "latency",
        "quantile": 0.95,
        "candidate": "candidate",
        "margin": 0.25,
        "action": "stop",
        "control_value": 2000.0,
        "value": 2100.0,
        "log_e": 0.1,
        "is_shown": False,
        "stops_within": {"harm": 3.0, "units": 482.0, "share": 0.95},
    }
    agreement = {"effect": 0.98, "low": 0.9, "high": 1.0, "units": 100}
    return {
        "verdict": "undecided",
        "sentence": "Undecided between candidate and control.",
        "candidate": "candidate",
        "candidates": [{"name": "candidate", "verdict": "undecided"}],
        "metrics": [metric],
        "guardrails": [guardrail],
        "sample_ratio": {
            "units": {"control": 500, "candidate": 510},
            "log_e": 0.0,
            "is_alarm": False,
            "crossed_units": 0,
            "incomplete_metrics": [],
        },
        "shadow": [
            {"candidate": "candidate", "agreement": agreement, "only_control": 1, "only_candidate": 2}
        ],
        "progress": {"units": 1010, "planned_units": 5000, "open_units": 3, "days_to_go": 4.5},
        "costs": {"control": COST, "candidate": COST},
        **fields,
    }
