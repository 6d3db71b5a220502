"""What reached each activation: a histogram of its inputs on data."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.errors import ExplainError
from adaptive_act.explain.arrays import Counts, Numbers
from adaptive_act.explain.start import distinct_activations
from adaptive_act.swapping.outputs import Example, run_model

BINS = 128
TAIL = 0.0005
"""The share of a layer's inputs at either end that the histogram counts but does not place in a bin."""

# The first pass places the range by magnitudes, eight to an octave, from 2⁻²⁰ to 2³⁰, of either sign.
_PER_OCTAVE, _SMALLEST, _LARGEST = 8, -20, 30
_MAGNITUDES = (_LARGEST - _SMALLEST) * _PER_OCTAVE
_FARTHEST = float(np.finfo(np.float32).max) / 2  # of the bins' edges, which float32 holds


@dataclass(frozen=True, slots=True)
class Reach:
    """What reached one activation, over all channels or, where it learned per channel, for each of them.

    `counts` [C, bins] are the inputs between the `edges` [bins + 1], `under` and `over` [C] those outside;
    the other arrays are [C] too. Infinite inputs and NaN are counted in `non_finite` and nowhere else.
    """

    edges: Numbers
    counts: Counts
    under: Counts
    over: Counts
    below_zero: Counts
    beyond: Counts
    limit: float
    """What `beyond` counts: inputs below -limit or above it."""
    non_finite: Counts
    minimum: Numbers
    maximum: Numbers

    @property
    def total(self) -> Counts:
        """The finite inputs of each channel."""
        inside: Counts = self.counts.sum(1)
        return inside + self.under + self.over

    @property
    def share_below_zero(self) -> float:
        """The share of the layer's inputs that were negative."""
        return float(self.below_zero.sum() / self.total.sum())

    @property
    def share_beyond(self) -> float:
        """The share of the layer's inputs beyond ±limit."""
        return float(self.beyond.sum() / self.total.sum())

    @property
    def shares(self) -> Numbers:
        """The share of the layer's inputs in each bin."""
        shares: Numbers = self.counts.sum(0) / self.total.sum()
        return shares

    def quantile(self, share: float) -> float:
        """The input below which this share of the layer's inputs lies, within one bin's width."""
        counts = np.concatenate([[self.under.sum()], self.counts.sum(0), [self.over.sum()]])
        places = np.concatenate([[self.minimum.min()], self.edges, [self.maximum.max()]])
        reached = np.concatenate([[0], counts.cumsum()]) / counts.sum()
        return float(np.interp(share, reached, np.maximum.accumulate(places)))


def reach(
    model: nn.Module, batches: Iterable[Example], *, limit: float = 3.0, bins: int = BINS
) -> dict[str, Reach]:
    """What reached each activation of `model` on `batches`, by layer name; layers not reached are left out.

    A batch is what the model is called with: one tensor, or the tuple of its arguments. The batches are gone
    through twice, first for the range and then for the histogram, so that memory does not grow with them.
    The model runs in evaluation mode and is not changed. Raises ExplainError where nothing was reached, and
    TypeError where `batches` can be gone through only once.
    """
    if isinstance(batches, Iterator):
        raise TypeError("`batches` is gone through twice: pass a list or a DataLoader, not an iterator")
    activations = {names[0]: activation for activation, names in distinct_activations(model).items()}
    ranges = {
        layer: _RangeCounter(activation.channels or 1, limit) for layer, activation in activations.items()
    }
    observe_inputs(model, batches, activations, ranges)
    reached = {layer: seen for layer, seen in ranges.items() if seen.total.any()}
    if not reached:
        raise ExplainError("no finite input reached an adaptive activation: give at least one batch of data")
    histograms = {
        layer: _HistogramCounter(seen.edges(bins), len(seen.total)) for layer, seen in reached.items()
    }
    observe_inputs(model, batches, activations, histograms)
    return {layer: _make_reach(ranges[layer], histogram) for layer, histogram in histograms.items()}


def observe_inputs(
    model: nn.Module,
    batches: Iterable[Example],
    activations: Mapping[str, Activation],
    see: Mapping[str, Callable[[Tensor], None]],
) -> None:
    """Runs the model on the batches and calls each layer's entry in `see` with its inputs as [C, n]."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    hooks = [
        activations[layer].register_forward_pre_hook(_make_input_hook(activations[layer], seen))
        for layer, seen in see.items()
    ]
    try:
        for batch in batches:
            run_model(model, to_device(batch, device))
    finally:
        for hook in hooks:
            hook.remove()


def to_device(batch: Example, device: torch.device) -> Example:
    """The batch with its tensors on the device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    return tuple(part.to(device) if isinstance(part, Tensor) else part for part in batch)


def _make_input_hook(
    activation: Activation, see: Callable[[Tensor], None]
) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0].detach()
        x = x if x.dtype is torch.float64 else x.float()
        see(
            x.reshape(1, -1)
            if activation.channels is None
            else x.movedim(activation.channel_axis, 0).flatten(1)
        )

    return hook


class _RangeCounter:
    """The first pass: extremes, exact counts, and where the bulk lies."""

    def __init__(self, channels: int, limit: float) -> None:
        self.limit = limit
        self.total, self.non_finite, self.below_zero, self.beyond = np.zeros((4, channels), np.int64)
        self.minimum, self.maximum = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._magnitudes = np.zeros(2 * _MAGNITUDES, np.int64)

    def __call__(self, x: Tensor) -> None:
        if x.numel() == 0:
            return
        finite = x.isfinite()
        self.total += _to_numpy(finite.sum(1))
        self.non_finite += _to_numpy((~finite).sum(1))
        self.below_zero += _to_numpy((finite & (x < 0)).sum(1))
        self.beyond += _to_numpy((finite & (x.abs() > self.limit)).sum(1))
        self.minimum = np.minimum(self.minimum, _to_numpy(x.where(finite, torch.inf).amin(1)))
        self.maximum = np.maximum(self.maximum, _to_numpy(x.where(finite, -torch.inf).amax(1)))
        inside = x[finite]
        octave = (inside.abs().log2() - _SMALLEST).clamp(0, _LARGEST - _SMALLEST)
        place = (octave * _PER_OCTAVE).long().clamp(max=_MAGNITUDES - 1)
        signed = torch.where(inside < 0, _MAGNITUDES - 1 - place, _MAGNITUDES + place)
        self._magnitudes += _to_numpy(torch.bincount(signed, minlength=2 * _MAGNITUDES))

    def edges(self, bins: int) -> Numbers:
        """Equal bins over all but TAIL of the inputs at either end; exact in float32."""
        magnitudes = 2.0 ** (np.arange(_MAGNITUDES + 1) / _PER_OCTAVE + _SMALLEST)
        magnitudes[0], magnitudes[-1] = 0.0, np.inf
        places = np.concatenate([-magnitudes[:0:-1], magnitudes])
        reached = self._magnitudes.cumsum() / self._magnitudes.sum()
        low = max(places[np.searchsorted(reached, TAIL, side="right")], self.minimum.min())
        high = min(places[np.searchsorted(reached, 1 - TAIL) + 1], self.maximum.max())
        low, high = max(min(low, _FARTHEST), -_FARTHEST), max(min(high, _FARTHEST), -_FARTHEST)
        if not low < high:
            margin = max(0.5, 1e-3 * abs(low))  # what float32 can resolve
            low, high = low - margin, high + margin
        return np.linspace(low, high, bins + 1).astype(np.float32).astype(np.float64)


class _HistogramCounter:
    """The second pass: how many inputs of each channel lie in each bin."""

    def __init__(self, edges: Numbers, channels: int) -> None:
        self.edges = edges
        self.places = np.zeros((channels, len(edges) + 1), np.int64)

    def __call__(self, x: Tensor) -> None:
        edges = torch.as_tensor(self.edges, dtype=x.dtype, device=x.device)
        channels, places = self.places.shape
        place = torch.bucketize(x.contiguous(), edges, right=True)
        place += places * torch.arange(channels, device=x.device)[:, None]
        counts = torch.bincount(place[x.isfinite()], minlength=channels * places)
        self.places += _to_numpy(counts).reshape(channels, places)


def _make_reach(seen: _RangeCounter, histogram: _HistogramCounter) -> Reach:
    return Reach(
        edges=histogram.edges,
        counts=histogram.places[:, 1:-1],
        under=histogram.places[:, 0],
        over=histogram.places[:, -1],
        below_zero=seen.below_zero,
        beyond=seen.beyond,
        limit=seen.limit,
        non_finite=seen.non_finite,
        minimum=seen.minimum,
        maximum=seen.maximum,
    )


def _to_numpy(tensor: Tensor) -> NDArray[Any]:
    numbers: NDArray[Any] = tensor.cpu().numpy()
    return numbers
