"""Parity as the manifest's fields."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from adaptive_act.explain.intervals import wilson
from convert import manifest
from convert.parity.criterion import CRITERION, QUANTILES, Agreement, Array, Comparison, scales, top1
from convert.verify import Parity


def measured(parity: Parity) -> manifest.ParityRecord:
    """What was compared and found, whether it passed or not; an error that is not finite is `inf`."""
    by_output: dict[str, list[Comparison]] = {}
    for comparison in parity.comparisons:
        by_output.setdefault(comparison.output, []).append(comparison)
    usual = scales(parity.runs)
    return manifest.ParityRecord(
        criterion=CRITERION,
        outputs=tuple(_output(name, found, parity, usual[name]) for name, found in by_output.items()),
        sets=_sets(parity),
    )


def _output(
    name: str, comparisons: Sequence[Comparison], parity: Parity, usual: float
) -> manifest.OutputRecord:
    worst = max(comparisons, key=lambda comparison: (not comparison.passed, comparison.used))
    typical = {run.name for run in parity.runs if run.typical}
    shown = [comparison for comparison in comparisons if comparison.run in typical]
    errors = _joined([comparison.errors for comparison in shown])
    original = _joined([comparison.original_errors for comparison in shown])
    return manifest.OutputRecord(
        name=name,
        scale=_rounded(worst.scale),
        original_error=_rounded(worst.original_error),
        file_error=_rounded(worst.file_error),
        allowed=_rounded(worst.allowed),
        tolerance=parity.tolerances.get(name),
        worst_set=worst.run,
        quantiles=_quantiles(errors),
        original_quantiles=_quantiles(original),
        typical_scale=_rounded(usual),
        ratio=_ratio(errors, original),
        top1=_agreement(top1(parity.runs, name)),
    )


def _joined(errors: Sequence[Array]) -> Array:
    return np.concatenate([*errors, np.zeros(0)])


def _quantiles(errors: Array) -> dict[str, float]:
    # By order and not between two errors, one of which may be infinite.
    found = np.quantile(errors, QUANTILES, method="higher") if errors.size else np.zeros(len(QUANTILES))
    return {f"{share:g}": _rounded(error) for share, error in zip(QUANTILES, found, strict=True)}


def _ratio(errors: Array, original: Array) -> float | None:
    own = np.sqrt(np.square(original).mean()) if original.size else 0.0
    return _rounded(np.sqrt(np.square(errors).mean()) / own) if own else None


def _agreement(found: Agreement | None) -> manifest.AgreementRecord | None:
    if found is None or not found.samples:
        return None
    share = wilson(found.agreed, found.samples)
    return manifest.AgreementRecord(
        found.samples,
        found.agreed,
        found.original_agreed,
        float(f"{share.low:.6g}"),
        float(f"{share.high:.6g}"),
    )


def _sets(parity: Parity) -> tuple[manifest.SetRecord, ...]:
    counts: dict[str, Counter[str]] = {}
    used: dict[str, dict[str, float]] = {}
    for comparison in parity.comparisons:
        used.setdefault(comparison.run, {})[comparison.output] = _rounded(comparison.used)
        counts.setdefault(comparison.run, Counter()).update(
            overflowed=comparison.overflowed,
            non_finite=comparison.non_finite,
            non_finite_lost=comparison.non_finite_lost,
            non_finite_gained=comparison.non_finite_gained,
        )
    return tuple(
        manifest.SetRecord(run.name, run.samples, used=used[run.name], **counts[run.name])
        for run in parity.runs
    )


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")
