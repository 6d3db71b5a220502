"""An experiment and observations of it, as the analysis is given them."""

from dataclasses import replace
from typing import Any

import numpy as np

from serve.experiments.definition import Experiment, Guardrail, Metric, Variant
from serve.experiments.findings import Behaviour, Expense, Observations
from serve.experiments.statistics.samples import Counts, LogHistogram
from serve.experiments.verdicts import Evidence

ACCEPTED = Metric(name="accepted", kind="binary", is_primary=True, equivalence_margin=0.1)
GUARDRAILS = (
    Guardrail(kind="error_rate"),
    Guardrail(kind="latency"),
    Guardrail(kind="nan"),
    Guardrail(kind="prediction_shift"),
    Guardrail(kind="disagreement"),
)


def define(**changes: Any) -> Experiment:
    """An experiment of v2 against v1 with one primary metric and every guardrail."""
    fields: dict[str, Any] = {
        "name": "digits",
        "model": "digits",
        "control": Variant(name="v1"),
        "candidates": (Variant(name="v2"),),
        "metrics": (ACCEPTED,),
        "guardrails": GUARDRAILS,
    }
    return Experiment(**{**fields, **changes})


def behave(units: int = 1000, **changes: Any) -> Behaviour:
    """Answers without fault, around 2 ms."""
    latencies = LogHistogram.of(2000 * np.exp(0.3 * np.sin(np.arange(units))))
    sound = Behaviour(
        Counts(units, 0),
        Counts(units, 0),
        latencies,
        {0: units // 2, 1: units - units // 2},
        Counts(units, 0),
    )
    return replace(sound, **changes)


def observe(events: int, units: int = 1000, **changes: Any) -> Observations:
    """Units of which some accepted."""
    return Observations(
        units, {"accepted": Counts(units, events)}, behave(units, **changes), Expense(1e7, 2.0, 1.5, 1e8)
    )


def gather(control: int, candidate: int, units: int = 1000, **changes: Any) -> Evidence:
    """The evidence of two variants whose units accepted so often."""
    return Evidence({"v1": observe(control, units), "v2": observe(candidate, units)}, **changes)
