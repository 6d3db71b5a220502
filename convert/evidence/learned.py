"""What the activations learned, as the manifest's fields."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, named_activations
from adaptive_act.errors import ExplainError
from adaptive_act.explain.layers import Layer, layers
from adaptive_act.explain.reach import Reach, reach
from adaptive_act.explain.start import Start, places
from adaptive_act.explain.words import explained
from convert import manifest
from convert.parity.samples import SampleSet

CURVE_POINTS = 33
CURVE_CHANNELS = 16
BINS = 64


def learned(model: nn.Module, samples: Sequence[SampleSet]) -> tuple[manifest.ActivationRecord, ...]:
    """Each learned activation under each of its names, and what reaches it on these samples."""
    found = named_activations(model)
    if not found:
        return ()
    known = {
        name: (place.start, layer)
        for place, layer in zip(places(model), layers(model, _reached(model, samples)), strict=True)
        for name in (layer.name, *layer.also)
    }
    return tuple(_activation(name, activation, *known[name]) for name, activation in found.items())


def _reached(model: nn.Module, samples: Sequence[SampleSet]) -> Mapping[str, Reach]:
    # Copies, since a model may write into what it is given.
    batches = [tuple(torch.tensor(array) for array in one.arrays) for one in samples]
    try:
        return reach(model, batches, bins=BINS)
    except ExplainError:  # nothing finite reached any of them
        return {}


def _activation(name: str, activation: Activation, start: Start, layer: Layer) -> manifest.ActivationRecord:
    points = torch.linspace(-4, 4, CURVE_POINTS, dtype=torch.float64)
    curves = activation.curve(points)
    count = curves.shape[0]
    shown = sorted({round(place) for place in np.linspace(0, count - 1, min(count, CURVE_CHANNELS))})
    started = start.activation.curve(points).expand_as(curves)
    return manifest.ActivationRecord(
        layer=name,
        kind=layer.kind,
        formula=(type(activation).__doc__ or "").strip().partition("\n")[0],
        options=activation.options(),
        values={parameter: _numbers(values) for parameter, values in activation.values().items()},
        curve=manifest.CurveRecord(_numbers(points), tuple(shown), _rows(curves, shown)),
        replaced=layer.replaced,
        words=explained(layer),
        start=manifest.StartRecord(
            origin=start.origin,
            values={key: _numbers(value) for key, value in start.activation.values().items()},
            curve=_rows(started, shown),
        ),
        reach=None if layer.reach is None else _reach(layer.reach),
    )


def _rows(curves: Tensor, shown: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    return tuple(_numbers(curves[row]) for row in shown)


def _reach(seen: Reach) -> manifest.ReachRecord:
    return manifest.ReachRecord(
        inputs=int(seen.total.sum()),
        low=float(f"{seen.edges[0]:.6g}"),
        high=float(f"{seen.edges[-1]:.6g}"),
        shares=tuple(float(f"{share:.3g}") for share in seen.shares),
        below_zero=float(f"{seen.share_below_zero:.4g}"),
    )


def _numbers(values: Tensor) -> tuple[float, ...]:
    """Nine digits: enough to give every float32 back."""
    return tuple(float(f"{number:.9g}") for number in values.detach().double().reshape(-1).tolist())
