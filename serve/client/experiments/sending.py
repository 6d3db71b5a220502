"""A file of outcomes sent to a server part by part."""

from collections.abc import Iterable
from pathlib import Path

from adaptact.progress import OnCount
from serve.client.errors import ClientError, InvalidReplyError
from serve.client.experiments.client import ExperimentClient
from serve.client.experiments.parts import content_type, measure, read_parts
from serve.client.experiments.replies import Receipt, Refused, UnknownMetric, read

MOST_REASONS = 100
MOST_METRICS = 20


def send_feedback(client: ExperimentClient, path: Path, on_progress: OnCount) -> Receipt:
    """What became of all outcomes of the file; raises `ClientError`.

    Each part is on the server's disk before the next is sent, so that the same file can be sent again after
    an error. Of the refused ones the first `MOST_REASONS` are kept with their lines in the file.
    """
    kind, total = content_type(path), measure(path)
    whole = Receipt(new=0, duplicate=0, refused=0, reasons=[])
    on_progress(0, total)
    try:
        for part in read_parts(path):
            receipt = read(Receipt, client.feedback(part.content, kind))
            whole = _add(whole, receipt, part.before)
            on_progress(part.done, total)
    except ClientError as error:
        if not isinstance(error, InvalidReplyError):
            error.hint = (
                f"{whole.new + whole.duplicate} outcomes are stored; the same command goes on without harm"
            )
        raise
    return whole


def _add(whole: Receipt, receipt: Receipt, before: int) -> Receipt:
    moved = [Refused(place=refused.place + before, reason=refused.reason) for refused in receipt.reasons]
    return Receipt(
        new=whole.new + receipt.new,
        duplicate=whole.duplicate + receipt.duplicate,
        refused=whole.refused + receipt.refused,
        reasons=[*whole.reasons, *moved][:MOST_REASONS],
        unmatched=whole.unmatched + receipt.unmatched,
        unknown=whole.unknown + receipt.unknown,
        unknown_metrics=_merge([*whole.unknown_metrics, *receipt.unknown_metrics]),
    )


def _merge(named: Iterable[UnknownMetric]) -> list[UnknownMetric]:
    """Each metric once, the most frequent first."""
    by_name: dict[str, UnknownMetric] = {}
    for each in named:
        before = by_name.get(each.metric)
        count = each.count + (0 if before is None else before.count)
        by_name[each.metric] = each.model_copy(update={"count": count})
    return sorted(by_name.values(), key=lambda each: -each.count)[:MOST_METRICS]
