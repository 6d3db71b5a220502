"""The manifest's records of a graph in fewer bits: which layers stayed in float, and the losses."""

from adaptive_act.explain.intervals import wilson_interval
from convert.manifest.records import AccuracyRecord, KeptRecord, LossRecord, RoundingRecord
from convert.precision.front.record import record_front
from convert.precision.gate import Loss, LossReport
from convert.precision.quantise import QuantisedModel


def record_rounding(rounded: QuantisedModel) -> RoundingRecord:
    """The record of a graph that passed its gate."""
    data = rounded.calibration
    kept = (
        *(KeptRecord(layer.layer, layer.kind, layer.reason) for layer in rounded.unfit),
        *(
            KeptRecord(kept.site.layer, kept.site.kind, kept.reason or _describe_share(kept.share))
            for kept in rounded.kept
        ),
    )
    return RoundingRecord(
        method=rounded.method,
        judged_on=rounded.judged_on,
        samples=rounded.losses.samples,
        calibration_samples=None if data is None else data.used,
        max_error=rounded.budgets.max_error,
        min_agreement=rounded.budgets.min_agreement,
        max_accuracy_drop=rounded.budgets.max_accuracy_drop,
        losses=record_losses(rounded.losses),
        accuracy=record_accuracy(rounded.losses),
        kept=kept,
        places=rounded.sites,
        front=None if rounded.front is None else record_front(rounded.front),
        ranges_by=rounded.ranges_by,
    )


def _describe_share(share: float) -> str:
    if share < 0.01:
        return "less than 1 % of the squared error alone, and needed with the others"
    return f"{share:.0%} of the squared error"


def record_losses(report: LossReport) -> tuple[LossRecord, ...]:
    """The record of each output."""
    return tuple(_record_loss(loss) for loss in report.losses)


def record_accuracy(report: LossReport) -> AccuracyRecord | None:
    """The record of the labelled samples, None where there were none."""
    accuracy = report.accuracy
    if accuracy is None:
        return None
    interval = accuracy.interval
    return AccuracyRecord(
        accuracy.output,
        accuracy.samples,
        accuracy.original,
        accuracy.file,
        low=_round(interval.low),
        high=_round(interval.high),
    )


def _record_loss(loss: Loss) -> LossRecord:
    share = None if loss.agreed is None or not loss.compared else wilson_interval(loss.agreed, loss.compared)
    return LossRecord(
        output=loss.output,
        scale=_round(loss.scale),
        largest=_round(loss.largest),
        typical=_round(loss.mean_square**0.5),
        agreed=loss.agreed,
        compared=loss.compared,
        low=0.0 if share is None else _round(share.low),
        high=0.0 if share is None else _round(share.high),
    )


def _round(number: float) -> float:
    return float(f"{number:.4g}")
