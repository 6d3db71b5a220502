"""What a file in fewer bits lost, as text, for a console and for a page."""

from adaptact.languages.catalogue import mark
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all
from adaptive_act.explain.wording import format_share
from convert.evidence.tables import NOTHING, TextTable, join_shares
from convert.manifest.records import SYMMETRIC, CostRecord, LossRecord, RoundingRecord

_METHODS = {
    "dynamic": mark("dynamic: no calibration data, so convolutions have 8-bit weights and compute in float"),
    "static": mark("static: 8 bits in and out of each layer, one scale per channel"),
    "weights-int8": mark("the weights of large linear layers in 8 bits, all else in float32"),
    "weights-int4": mark("the weights of large linear layers in 4 bits, all else in float32"),
    "fp16": mark("16-bit floats inside, 32-bit inputs and outputs"),
    "computed": mark("a file in float32, of which the provider computes products in 16 bits"),
}
_RANGES = {
    "least-error": mark("of the least squared error"),
    "all": mark("that hold all its numbers"),
    "percentile": mark("that hold 99.99 % of its numbers"),
    "divergence": mark("of the least divergence"),
    "all-and-room": mark("that hold all its numbers and a fifth more"),
}
_JUDGED_ON = {
    "given": mark("{samples} samples of your own"),
    "calibration": mark("{samples} samples of the calibration data"),
    "generated": mark("{samples} generated samples, which may differ from yours"),
}


def tabulate_losses(record: RoundingRecord) -> TextTable:
    """The losses of each output in fewer bits, and what the budgets allow."""
    header = say_all(
        "output", "scale", "largest error / scale", "allowed", "typical", "agreement", "at least"
    )
    rows = [
        (
            loss.output,
            f"{loss.scale:g}",
            f"{loss.largest:.2%}",
            f"{record.max_error:.2%}",
            f"{loss.typical:.3%}",
            _format_loss_agreement(loss),
            f"{record.min_agreement:.2%}" if loss.agreed is not None and record.min_agreement else NOTHING,
        )
        for loss in record.losses
    ]
    return TextTable(header, rows)


def _format_loss_agreement(loss: LossRecord) -> str:
    if loss.agreed is None or not loss.compared:
        return NOTHING
    share, interval = format_share(loss.agreed / loss.compared), join_shares(loss.low, loss.high)
    return say("{share} of {count} ({interval})", share=share, count=loss.compared, interval=interval)


def tabulate_kept(record: RoundingRecord) -> TextTable:
    """The layers that stay in float, or in 8 bits where others have 4."""
    rows = [(layer.layer, layer.kind, retell(layer.reason)) for layer in record.kept]
    kept = mark("kept in 8 bits") if record.method == "weights-int4" else mark("kept in float")
    return TextTable(say_all(kept, "kind", "why"), rows)


def describe_rounding(precision: str, record: RoundingRecord) -> str:
    """How the file was rounded and judged, and what it means for accuracy, in a line or two."""
    samples = say(_JUDGED_ON.get(record.judged_on, record.judged_on), samples=record.samples)
    parts = [
        say(
            "{precision}, {method}; judged on {samples}",
            precision=precision,
            method=say(_METHODS.get(record.method, record.method)),
            samples=samples,
        )
    ]
    if record.calibration_samples is not None:
        parts.append(say(", calibrated on {count}", count=record.calibration_samples))
    if record.ranges_by is not None:
        by = record.ranges_by.removesuffix(SYMMETRIC)
        parts.append(say(", in ranges {which}", which=say(_RANGES.get(by, by))))
        if by != record.ranges_by:
            parts.append(say(", symmetric around 0"))
    if record.accuracy is not None:
        parts.append(
            say(
                "; right on {right} of {samples}, the original on {original}, a drop of {drop}, "
                "allowed {allowed}",
                right=record.accuracy.file,
                samples=record.accuracy.samples,
                original=record.accuracy.original,
                drop=_format_drop(record),
                allowed=f"{record.max_accuracy_drop:.2%}",
            )
        )
    kept = mark("; {count} layers kept in float")
    if record.method == "weights-int4":
        kept = mark("; {count} layers kept in 8 bits")
    return "".join(parts) + say(kept, count=len(record.kept))


def describe_cost(cost: CostRecord) -> str:
    """What fewer bits save, in a line."""
    size = say(
        "weights: {bytes} bytes, {share} of those in float32",
        bytes=f"{cost.bytes:,}",
        share=f"{cost.bytes / max(cost.float32_bytes, 1):.0%}",
    )
    times = (
        say(
            "; batch {batch} takes {ratio} of the time ({low} to {high})",
            batch=speed.batch,
            ratio=f"{speed.ratio:.2f}",
            low=f"{speed.low:.2f}",
            high=f"{speed.high:.2f}",
        )
        for speed in cost.speeds
    )
    return size + "".join(times)


def is_within_budgets(record: RoundingRecord) -> bool:
    """Whether every loss is within its budget."""
    return _accuracy_drop(record) <= record.max_accuracy_drop and all(
        loss.largest <= record.max_error
        and (loss.agreed is None or not loss.compared or loss.agreed / loss.compared >= record.min_agreement)
        for loss in record.losses
    )


def _format_drop(record: RoundingRecord) -> str:
    drop, right = f"{_accuracy_drop(record):.2%}", record.accuracy
    if right is None or right.low is None or right.high is None:
        return drop
    return f"{drop} ({right.low:.2%} – {right.high:.2%})"


def _accuracy_drop(record: RoundingRecord) -> float:
    right = record.accuracy
    return 0.0 if right is None else (right.original - right.file) / right.samples
