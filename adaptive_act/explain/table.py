"""The layers and decisions as rows for a table and as records for JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all, speak
from adaptive_act.explain.arrays import Numbers
from adaptive_act.explain.decisions import Change, Decisions
from adaptive_act.explain.intervals import Interval
from adaptive_act.explain.layers import Layer
from adaptive_act.explain.reach import Reach
from adaptive_act.explain.shape import Side
from adaptive_act.explain.wording import explain_layer, format_percent, format_range, format_share

Row = tuple[str, ...]


def layer_header() -> Row:
    """What the cells of `layer_row` are."""
    return (
        *say_all("layer", "kind", "replaced", "channels", "learned values", "start", "moved"),
        *say_all("slope at 0−", "slope at 0+"),
    )


def decision_header() -> Row:
    """What the cells of `decision_rows` are."""
    layer, accuracy, loss, predictions = say_all("layer reset", "accuracy [pp]", "loss [nats]", "predictions")
    return layer, accuracy, "95 %", loss, "95 %", predictions, "95 %", "p"


def layer_row(layer: Layer) -> Row:
    """The cells under `layer_header`; ranges are over the channels."""
    moved = "–" if layer.moved.share is None else format_percent(layer.moved.share)
    return (
        layer.name + "".join(f" = {name}" for name in layer.also),
        layer.kind,
        layer.replaced or "–",
        str(layer.shape.channels) if layer.shape.channels > 1 else say("shared"),
        _format_values(layer.values),
        _format_values(layer.start_values),
        f"{layer.moved.mean:.2g} ({moved})" if layer.moved.most > 1e-6 else "0",
        *(format_range(slopes, ".2f") for slopes in layer.shape.slopes),
    )


def decision_rows(decisions: Decisions) -> list[Row]:
    """The cells under `decision_header`, a row for each layer and one for all."""
    return [(retell(row.layer), *_change_cells(row.change)) for row in decisions.rows]


def layer_record(layer: Layer) -> dict[str, Any]:
    """The layer as JSON-able fields, its words in English; arrays are over the channels."""
    with speak("en"):
        explained = explain_layer(layer)
    return {
        "layer": layer.name,
        "also": list(layer.also),
        "kind": layer.kind,
        "replaced": layer.replaced,
        "start_is": layer.origin,
        "elementwise": layer.elementwise,
        "values": {name: _number_list(values) for name, values in layer.values.items()},
        "start_values": {name: _number_list(values) for name, values in layer.start_values.items()},
        "moved": asdict(layer.moved),
        "slopes_at_zero": [_number_list(slopes) for slopes in layer.shape.slopes],
        "left": _side_record(layer.shape.left),
        "right": _side_record(layer.shape.right),
        "never_falls": layer.shape.rising.tolist(),
        "explained": explained,
        "reach": None if layer.reach is None else _reach_record(layer.reach),
    }


def decisions_record(decisions: Decisions) -> dict[str, Any]:
    """The decisions as JSON-able fields."""
    return {
        "samples": decisions.samples,
        "accuracy": _interval_record(decisions.accuracy),
        "loss": _interval_record(decisions.loss),
        "put_back": [
            {
                "layer": row.layer,
                "to": row.origin,
                **_change_record(row.change),
                "by_class": {
                    name: None if change is None else _change_record(change)
                    for name, change in zip(decisions.classes, row.by_class, strict=True)
                },
            }
            for row in decisions.rows
        ],
    }


def _side_record(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {"far": side.far, "patterns": list(side.patterns), "slope": _number_list(side.slope)}


def _format_values(values: Mapping[str, Numbers]) -> str:
    return ", ".join(f"{name} = {format_range(value)}" for name, value in values.items()) or "–"


def _change_cells(change: Change) -> Row:
    return (
        *_format_interval(change.accuracy, 100, ".2f"),
        *_format_interval(change.loss, 1, ".4f"),
        format_share(change.changed.value),
        say("{low} to {high}", low=format_share(change.changed.low), high=format_share(change.changed.high)),
        "< 0.0001" if change.p < 1e-4 else f"{change.p:.4f}",
    )


def _format_interval(interval: Interval, unit: float, form: str) -> tuple[str, str]:
    numbers = (unit * number + 0.0 for number in (interval.value, interval.low, interval.high))
    value, low, high = (f"{number:+{form}}".replace("-", "−") for number in numbers)
    return value, say("{low} to {high}", low=low, high=high)


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "samples": change.samples,
        "accuracy": _interval_record(change.accuracy),
        "loss": _interval_record(change.loss),
        "changed": _interval_record(change.changed),
        "p": change.p,
    }


def _interval_record(interval: Interval) -> list[float | None]:
    """Value, low, high; None for what is not finite, which JSON cannot express."""
    return [
        number if np.isfinite(number) else None for number in (interval.value, interval.low, interval.high)
    ]


def _reach_record(seen: Reach) -> dict[str, Any]:
    return {
        "total": int(seen.total.sum()),
        "non_finite": int(seen.non_finite.sum()),
        "minimum": float(seen.minimum.min()),
        "maximum": float(seen.maximum.max()),
        "quantiles": {f"{part:g}": seen.quantile(part) for part in (0.01, 0.25, 0.5, 0.75, 0.99)},
        "share_below_zero": seen.share_below_zero,
        "share_beyond": seen.share_beyond,
        "limit": seen.limit,
    }


def _number_list(values: Numbers) -> list[float | None]:
    return [float(f"{number:.9g}") if np.isfinite(number) else None for number in values.tolist()]
