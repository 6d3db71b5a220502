"""What the counts of a window say: stable, shifted or drifted, each with its numbers.

A series has drifted if it differs by much, and by more than chance explains. Chance alone, in traffic whose
rows are independent of each other, raises an alarm of a version on at most one day in a hundred: each test of
each series at each look, once a minute, has its part of that hundredth. Overlapping windows make it rarer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from serve.drift.baseline import Baseline, BaselineSeries
from serve.drift.counting import MISSING, OUTSIDE, ROWS, VALUES, Tally, get_cells
from serve.drift.measures import (
    Shares,
    bound_ks,
    bound_share,
    compute_ks,
    compute_psi,
    expect_psi,
    is_psi_beyond_chance,
)
from serve.drift.window import Tallies

LOOK_SECONDS = 60.0
ALARMS_PER_DAY = 0.01
TESTS = 3  # of each series
LOOKS_PER_DAY = 86_400 / LOOK_SECONDS
LEAST_ROWS = 500
PSI, KS, OUTSIDE_SHARE = "PSI", "KS", "the share outside the range"
SHIFTED_PSI, DRIFTED_PSI = 0.1, 0.25
# Of normal values whose mean moves so far that the index is at its limits.
SHIFTED_KS, DRIFTED_KS = 0.125, 0.2
SHIFTED_OUTSIDE, DRIFTED_OUTSIDE = 0.02, 0.1

Verdict: TypeAlias = Literal["no baseline", "waiting", "stable", "shifted", "drifted"]
ORDER: tuple[Verdict, ...] = ("no baseline", "waiting", "stable", "shifted", "drifted")
"""From the least to the most alarming."""


@dataclass(frozen=True, slots=True)
class SeriesDrift:
    """One tensor's, or one column's, live values beside those of real data."""

    role: str
    tensor: str
    layer: str
    column: int | None
    verdict: Verdict
    reason: str
    """Why it is that, in words; empty where it is stable."""
    rows: int
    """Live ones in the window."""
    values: int
    psi: float | None
    """Without what chance adds on average; None while there are too few rows, as the next ones.

    It and `ks` are None too where either side has no value in any cell.
    """
    ks: float | None
    outside: float | None
    """The share of the live values that leave the range, with NaN."""
    missing: float | None
    """The share that is NaN."""
    outside_baseline: float
    low: float | None
    high: float | None
    edges: list[float]
    categories: list[str]
    baseline: list[float]
    """The share of real data in each cell: one more than edges or categories."""
    live: list[float]


@dataclass(frozen=True, slots=True)
class _Measure:
    """One measure of a series: whether chance explains it, and from where on it is shifted, and drifted."""

    name: str
    value: float
    is_beyond_chance: bool
    limits: tuple[float, float]
    missing: float = 0.0
    """Which part of the value NaN is."""

    def explain(self) -> str:
        """The value beside its first limit; a value at the limit reads as equal, since it counts."""
        nan = f", NaN alone {self.missing:.3g}" if self.missing else ""
        return f"{self.name} is {self.value:.3g}{nan}, and the limit is {self.limits[0]:.3g}"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One version's drift."""

    model: str
    version: str
    verdict: Verdict
    """The most alarming one of its series."""
    summary: str
    rows: int
    baseline_rows: int
    seconds: float
    """How much of the window has passed."""
    series: list[SeriesDrift]


def judge(name: str, version: str, baseline: Baseline, tallies: Tallies, seconds: float) -> DriftReport:
    """What the tallies, one for each series of the baseline, say."""
    alpha = ALARMS_PER_DAY / (LOOKS_PER_DAY * TESTS * len(baseline.series))
    series = [_judge_series(each, tally, alpha) for each, tally in zip(baseline.series, tallies, strict=True)]
    verdict = max((each.verdict for each in series), key=ORDER.index)
    rows = max(each.rows for each in series)
    return DriftReport(
        name, version, verdict, _summarise(verdict, series, rows), rows, baseline.rows, seconds, series
    )


def report_without(name: str, version: str, reason: str = "") -> DriftReport:
    """That of a version without a baseline."""
    summary = reason or "no baseline: export the model with --samples of at least 100 rows of real data"
    return DriftReport(name, version, "no baseline", summary, 0, 0, 0.0, [])


def _judge_series(series: BaselineSeries, tally: Tally, alpha: float) -> SeriesDrift:
    rows, values = int(tally[ROWS]), int(tally[VALUES])
    cells = get_cells(series, tally)
    live = np.asarray(cells / max(int(cells.sum()), 1))
    is_known = rows >= LEAST_ROWS and values > 0
    measures = _measure(series, live, tally, alpha) if is_known else ()
    verdict, reason = _decide(measures) if is_known else ("waiting", f"{rows} of {LEAST_ROWS} rows")
    found = {measure.name: measure.value for measure in measures}
    is_naming = bool(series.categories)
    return SeriesDrift(
        role=series.role,
        tensor=series.tensor,
        layer=series.layer,
        column=series.column,
        verdict=verdict,
        reason=reason,
        rows=rows,
        values=values,
        psi=found.get(PSI),
        ks=None if is_naming else found.get(KS),
        outside=None if is_naming else found.get(OUTSIDE_SHARE),
        missing=int(tally[MISSING]) / values if is_known else None,
        outside_baseline=series.outside,
        low=series.low if series.has_range else None,
        high=series.high if series.has_range else None,
        edges=series.edges.tolist(),
        categories=list(series.categories),
        baseline=series.shares.tolist(),
        live=live.tolist(),
    )


def _measure(series: BaselineSeries, live: Shares, tally: Tally, alpha: float) -> list[_Measure]:
    """The share outside, and the measures of the cells where both sides have values in any."""
    rows, values = int(tally[ROWS]), int(tally[VALUES])
    outside = int(tally[OUTSIDE]) / values
    measures = [
        _Measure(
            OUTSIDE_SHARE,
            outside,
            outside > bound_share(series.outside, rows, series.rows, alpha),
            (series.outside + SHIFTED_OUTSIDE, series.outside + DRIFTED_OUTSIDE),
            int(tally[MISSING]) / values if series.has_range else 0.0,
        )
    ]
    if live.any() and series.shares.any():
        # A row without a value that is known says nothing of the cells.
        known_rows = max(rows * int(get_cells(series, tally).sum()) / values, 1.0)
        measures = [*_measure_cells(series, live, known_rows, alpha), *measures]
    return measures


def _measure_cells(
    series: BaselineSeries, live: Shares, rows: float, alpha: float
) -> tuple[_Measure, _Measure]:
    base, base_rows = series.shares, series.rows
    excess = compute_psi(live, base, rows, base_rows) - expect_psi(len(live), rows, base_rows)
    ks = compute_ks(live, base)
    return (
        _Measure(
            PSI,
            max(excess, 0.0),
            is_psi_beyond_chance(live, base, rows, base_rows, alpha),
            (SHIFTED_PSI, DRIFTED_PSI),
        ),
        _Measure(
            KS,
            ks,
            not series.categories and ks > bound_ks(rows, base_rows, alpha),
            (SHIFTED_KS, DRIFTED_KS),
        ),
    )


def _decide(measures: Sequence[_Measure]) -> tuple[Verdict, str]:
    """The verdict of the measures, and those that reach a limit beyond chance."""
    large = [each for each in measures if each.is_beyond_chance and each.value >= each.limits[0]]
    reason = "; ".join(each.explain() for each in large)
    if any(each.value >= each.limits[1] for each in large):
        return "drifted", reason
    return ("shifted" if large else "stable"), reason


def _summarise(verdict: Verdict, series: Sequence[SeriesDrift], rows: int) -> str:
    if verdict == "waiting":
        return f"{rows} live rows in the window, {LEAST_ROWS} are needed"
    if verdict == "stable":
        return "live values are as the baseline's, as far as can be told from chance"
    worst = [each for each in series if each.verdict == verdict]
    first = worst[0]
    column = "" if first.column is None else f"[{first.column}]"
    more = f"; and {len(worst) - 1} more" if len(worst) > 1 else ""
    return f"{first.role} {first.layer or first.tensor}{column}: {first.reason}{more}"
