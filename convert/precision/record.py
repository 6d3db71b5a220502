"""What was rounded and lost, as the manifest's fields."""

from adaptive_act.explain.intervals import wilson
from convert.manifest.fields import AccuracyRecord, KeptRecord, LossRecord, RoundingRecord
from convert.precision.gate import Judged, Loss
from convert.precision.quantise import Rounded


def recorded(rounded: Rounded) -> RoundingRecord:
    """The record of a graph that passed."""
    data = rounded.calibration
    kept = (
        *(KeptRecord(one.layer, one.kind, one.reason) for one in rounded.outside),
        *(KeptRecord(one.site.layer, one.site.kind, _took(one.share)) for one in rounded.kept),
    )
    return RoundingRecord(
        method=rounded.method,
        judged_on=rounded.judged_on,
        samples=rounded.judged.samples,
        calibration_samples=None if data is None else data.used,
        max_error=rounded.budgets.max_error,
        min_agreement=rounded.budgets.min_agreement,
        max_accuracy_drop=rounded.budgets.max_accuracy_drop,
        losses=losses(rounded.judged),
        accuracy=accuracy(rounded.judged),
        kept=kept,
        places=rounded.sites,
    )


def _took(share: float) -> str:
    if share < 0.01:
        return "less than 1 % of the squared error alone, and needed with the others"
    return f"{share:.0%} of the squared error"


def losses(judged: Judged) -> tuple[LossRecord, ...]:
    """The record of each output."""
    return tuple(_loss(one) for one in judged.losses)


def accuracy(judged: Judged) -> AccuracyRecord | None:
    """The record of the labelled samples, None where there were none."""
    found = judged.accuracy
    if found is None:
        return None
    return AccuracyRecord(found.output, found.samples, found.original, found.file)


def _loss(loss: Loss) -> LossRecord:
    share = None if loss.agreed is None or not loss.compared else wilson(loss.agreed, loss.compared)
    return LossRecord(
        output=loss.output,
        scale=_rounded(loss.scale),
        largest=_rounded(loss.largest),
        typical=_rounded(loss.mean_square**0.5),
        agreed=loss.agreed,
        compared=loss.compared,
        low=0.0 if share is None else _rounded(share.low),
        high=0.0 if share is None else _rounded(share.high),
    )


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")
