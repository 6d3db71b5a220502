"""Each layer of a model: its values, curve, shape, inputs and start."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from adaptive_act.activation import Activation
from adaptive_act.explain.arrays import Numbers
from adaptive_act.explain.reach import Reach
from adaptive_act.explain.shape import (
    NEAR,
    Displacement,
    Shape,
    evaluate_curve,
    measure_displacement,
    measure_shape,
)
from adaptive_act.explain.start import StartedActivation, find_starts

POINTS = 201
"""Points at which a curve is drawn."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's activation; the source may be a model or a file.

    `points` [n] cover what the data reached, `learned` [C, n] and `start` [1 or C, n] are the curves there.
    `values` and `start_values` are [1] or [C] for each learned parameter.
    """

    name: str
    also: tuple[str, ...]
    """Other names under which the model holds the same activation."""
    kind: str
    replaced: str
    """What stood there before the swap; empty where the record does not say."""
    origin: str
    """What the start is: a fixed point, or the initial values."""
    elementwise: bool
    values: Mapping[str, Numbers]
    start_values: Mapping[str, Numbers]
    points: Numbers
    learned: Numbers
    start: Numbers
    shape: Shape
    moved: Displacement
    reach: Reach | None


def layers(
    model: nn.Module,
    reached: Mapping[str, Reach] | None = None,
    starts: Mapping[str, Activation] | None = None,
) -> tuple[Layer, ...]:
    """Every activation of `model`, with what `reach` found of it where given; `starts` is as in `places`."""
    seen = reached or {}
    return tuple(_make_layer(place, seen.get(place.layer)) for place in find_starts(model, starts))


def curve_points(seen: Reach | None) -> Numbers:
    """Where a curve is drawn: the histogram's range and zero, or -NEAR to NEAR without a histogram."""
    low, high = (-NEAR, NEAR) if seen is None else (min(seen.edges[0], 0.0), max(seen.edges[-1], 0.0))
    margin = 0.03 * (high - low)
    return np.linspace(low - margin, high + margin, POINTS)


def read_values(activation: Activation) -> dict[str, Numbers]:
    """The learned values by name, [1] or [C] each."""
    return {name: value.double().cpu().numpy() for name, value in activation.values().items()}


def _make_layer(place: StartedActivation, seen: Reach | None) -> Layer:
    activation, start = place.activation, place.start.activation
    points = curve_points(seen)
    return Layer(
        name=place.layer,
        also=place.also,
        kind=type(activation).__name__,
        replaced=activation.site.replaced if activation.site else "",
        origin=place.start.origin,
        elementwise=activation.elementwise,
        values=read_values(activation),
        start_values=read_values(start),
        points=points,
        learned=evaluate_curve(activation.curve, points),
        start=_merge_equal_rows(evaluate_curve(start.curve, points)),
        shape=measure_shape(activation.curve, seen),
        moved=measure_displacement(activation.curve, start.curve, seen),
        reach=seen,
    )


def _merge_equal_rows(curves: Numbers) -> Numbers:
    """One row where all channels start alike."""
    return curves[:1] if (curves == curves[:1]).all() else curves
