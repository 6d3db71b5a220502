"""What plans are made from."""

import numpy as np
import pytest

from serve.engine.metrics import SECOND_BOUNDS
from serve.rollout.planning import _make_histogram


def test_run_times_are_spread_over_their_buckets() -> None:
    counts = [0] * (len(SECOND_BOUNDS) + 1)
    counts[5] = 1000  # of 1 to 2.5 ms
    histogram = _make_histogram(counts)
    assert float(histogram.units) == pytest.approx(1000, abs=20)
    quantiles = [float(histogram.quantile(p)) for p in (0.01, 0.5, 0.99)]
    assert quantiles == pytest.approx([1000, 1000 * np.sqrt(2.5), 2500], rel=0.05)


def test_no_run_time_was_seen_yet() -> None:
    assert float(_make_histogram([0] * (len(SECOND_BOUNDS) + 1)).units) == 0
