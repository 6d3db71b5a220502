"""What was tuned, as the manifest's fields and back."""

import math
from collections.abc import Collection, Mapping

from convert.manifest.fields import ChosenRecord, SpeedRecord
from convert.rewriting.plan import KINDS, Place, Plan
from convert.tuning.timing import Compared, Ratio


def ratios(found: Ratio) -> tuple[float, float, float]:
    """The ratio, and the interval that it lies in."""
    return (
        rounded(math.exp(found.middle)),
        rounded(math.exp(found.low)),
        rounded(math.exp(found.high)),
    )


def rounded(number: float) -> float:
    """Four digits, more than a timing has."""
    return float(f"{number:.4g}")


def speeds(batches: Collection[int], found: Compared) -> tuple[SpeedRecord, ...]:
    """Untuned and tuned times of each batch; nothing where there was no round."""
    if not found.rounds:
        return ()
    rows = zip(batches, found.by_batch, found.base_seconds, found.candidate_seconds, strict=True)
    return tuple(
        SpeedRecord(batch, rounded(base * 1e6), rounded(candidate * 1e6), *ratios(ratio))
        for batch, ratio, base, candidate in rows
    )


def plan_of(
    chosen: Collection[ChosenRecord], forms: Mapping[str, str], known: Collection[Place]
) -> Plan | None:
    """The plan that was recorded; None where it names a place or a form that there is not."""
    kinds = {kind.name: kind.forms for kind in KINDS}
    if any((one.kind, one.value) not in known or one.form not in kinds.get(one.kind, ()) for one in chosen):
        return None
    return Plan(forms, {(one.kind, one.value): one.form for one in chosen})
