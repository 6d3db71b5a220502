"""What plans are made from."""

import numpy as np
import pytest

from serve.engine.metrics import SECOND_BOUNDS
from serve.experiments.stages import Change, draft
from serve.experiments.store.registry import Registered
from serve.experiments.verdicts import Evidence
from serve.rollout.planning import KEEP_SECONDS, GuardrailStatements, _make_histogram
from tests.serve.experiments.definitions import make_experiment


def test_run_times_are_spread_over_their_buckets() -> None:
    counts = [0] * (len(SECOND_BOUNDS) + 1)
    counts[5] = 1000  # of 1 to 2.5 ms
    histogram = _make_histogram(counts)
    assert float(histogram.units) == pytest.approx(1000, abs=20)
    quantiles = [float(histogram.quantile(p)) for p in (0.01, 0.5, 0.99)]
    assert quantiles == pytest.approx([1000, 1000 * np.sqrt(2.5), 2500], rel=0.05)


def test_no_run_time_was_seen_yet() -> None:
    assert float(_make_histogram([0] * (len(SECOND_BOUNDS) + 1)).units) == 0


def test_what_is_stated_of_guardrails_is_kept_for_a_minute() -> None:
    times = [0, 1, KEEP_SECONDS * 1_000_000, KEEP_SECONDS * 1_000_000 + 1]
    statements = GuardrailStatements(clock=lambda: times.pop(0))
    registered = Registered(make_experiment(guardrails=[{"kind": "nan"}]), 1, draft(Change(0, "anne")))
    first, second, later = (statements.state(registered, Evidence({})) for _ in range(3))
    assert first is second
    assert later is not second
    amended = Registered(make_experiment(guardrails=[]), 2, registered.phase)
    assert statements.state(amended, Evidence({})) == ()
