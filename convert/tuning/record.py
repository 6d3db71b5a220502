"""The manifest's records of tuning, and the plan that they hold."""

import math
from collections.abc import Collection, Mapping

from convert.manifest.records import ChosenRecord, SpeedRecord
from convert.rewriting.plan import KINDS, FormPlan, Place
from convert.tuning.timing import Ratio, TimingComparison


def record_ratio(ratio: Ratio) -> tuple[float, float, float]:
    """The ratio and the two ends of its interval."""
    return (
        round_timing(math.exp(ratio.middle)),
        round_timing(math.exp(ratio.low)),
        round_timing(math.exp(ratio.high)),
    )


def round_timing(number: float) -> float:
    """Four digits, more than a timing has."""
    return float(f"{number:.4g}")


def record_speeds(batches: Collection[int], comparison: TimingComparison) -> tuple[SpeedRecord, ...]:
    """The untuned and tuned times of each batch size; empty where there was no round."""
    if not comparison.rounds:
        return ()
    rows = zip(
        batches,
        comparison.by_batch,
        comparison.base_seconds,
        comparison.candidate_seconds,
        strict=True,
    )
    return tuple(
        SpeedRecord(batch, round_timing(base * 1e6), round_timing(candidate * 1e6), *record_ratio(ratio))
        for batch, ratio, base, candidate in rows
    )


def read_plan(
    chosen: Collection[ChosenRecord], forms: Mapping[str, str], known: Collection[Place]
) -> FormPlan | None:
    """The plan that was recorded; None where it names an unknown place or form."""
    kinds = {kind.name: kind.forms for kind in KINDS}
    if any(
        (record.kind, record.value) not in known or record.form not in kinds.get(record.kind, ())
        for record in chosen
    ):
        return None
    return FormPlan(forms, {(record.kind, record.value): record.form for record in chosen})
