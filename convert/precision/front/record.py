"""The manifest's record of a front."""

import math

from adaptact.providers.catalogue import find_provider
from adaptact.providers.machine import describe_processor
from convert.manifest.front import FrontPointRecord, FrontRecord
from convert.precision.front.search import Front, FrontPoint
from convert.tuning.record import record_ratio, round_timing

MOST = 1e9
"""An error of more, which may be infinite, is recorded as this."""


def record_front(front: Front) -> FrontRecord:
    """The record, with the machine that files were timed on."""
    options = front.options
    target = options.target
    return FrontRecord(
        rule=options.rule,
        by_accuracy=front.by_accuracy,
        provider=target.provider,
        threads=target.threads,
        batches=target.batches,
        processor=describe_processor(with_gpus=find_provider(target.provider).on_gpu),
        seconds=options.seconds,
        spent=round_timing(front.spent),
        groups=front.groups,
        points=tuple(
            _record_point(point, is_best=place in front.best) for place, point in enumerate(front.points)
        ),
        knee=front.knee,
        chosen=front.chosen,
    )


def _record_point(point: FrontPoint, *, is_best: bool) -> FrontPointRecord:
    ratio, low, high = record_ratio(point.ratio)
    agreements = [loss.agreement for loss in point.losses.losses if loss.agreement is not None]
    accuracy = point.losses.accuracy
    interval = None if accuracy is None else accuracy.interval
    return FrontPointRecord(
        places=point.places,
        ratio=ratio,
        low=low,
        high=high,
        microseconds=tuple(round_timing(seconds * 1e6) for seconds in point.seconds),
        error=_round(point.error),
        largest=_round(point.losses.largest),
        agreement=_round(min(agreements)) if agreements else None,
        drop=None if accuracy is None else _round(accuracy.drop),
        drop_low=None if interval is None else _round(interval.low),
        drop_high=None if interval is None else _round(interval.high),
        passes=point.passes,
        is_best=is_best,
    )


def _round(number: float) -> float:
    return float(f"{min(number, MOST):.4g}") if not math.isnan(number) else MOST
