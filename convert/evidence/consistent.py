"""Whether a manifest's numbers fit each other, so that they can be drawn and divided."""

from collections.abc import Sequence

from convert.manifest import ActivationRecord, Manifest
from convert.records import ManifestError


def require_consistent(manifest: Manifest) -> None:
    """Raises ManifestError where a curve has no value for a point, or a share is one of nothing."""
    for one in manifest.activations:
        _require_drawable(one)
    for output in manifest.parity.outputs:
        if output.top1 is not None and output.top1.samples < 1:
            raise ManifestError(f"the manifest has an agreement of output `{output.name}` on no samples")
    accuracy = None if manifest.rounding is None else manifest.rounding.accuracy
    if accuracy is not None and accuracy.samples < 1:
        raise ManifestError(f"the manifest has an accuracy of output `{accuracy.output}` on no samples")


def _require_drawable(one: ActivationRecord) -> None:
    points = len(one.curve.points)
    curves = (one.curve.values,) if one.start is None else (one.curve.values, one.start.curve)
    if not all(_rows(rows, points) for rows in curves):
        raise ManifestError(f"the manifest's curves of layer `{one.layer}` do not fit their {points} points")
    values = (one.values,) if one.start is None else (one.values, one.start.values)
    if not all(numbers for learned in values for numbers in learned.values()):
        raise ManifestError(f"the manifest has a learned value of layer `{one.layer}` without numbers")
    if one.reach is not None and not (one.reach.shares and one.reach.low < one.reach.high):
        raise ManifestError(f"the manifest's histogram of layer `{one.layer}` has no bins")


def _rows(rows: Sequence[Sequence[float]], points: int) -> bool:
    return bool(rows) and points > 0 and all(len(row) == points for row in rows)
