"""PWLU, the piecewise linear unit."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import hinges

INTERVALS = 6
NARROWEST = 1e-3
"""The least distance between the two bounds."""
DEVIATIONS = 3.0
"""How far from the mean of the input `calibrate` puts each bound, in standard deviations."""

_HEIGHTS = tuple(f"y{k}" for k in range(INTERVALS + 1))
_RELU = {"left": -3.0, "right": 3.0, "slope_left": 0.0, "slope_right": 1.0} | {
    name: max(0.0, k - 3.0) for k, name in enumerate(_HEIGHTS)
}


class PWLU(Activation):
    """y₀ + s(x − t₀) + Σ Δₖ · max(0, x − tₖ), k from 0 to 6: eight straight pieces.

    The knots tₖ divide the way from `left` to `right` into six equal intervals, and the curve has the height
    yₖ at each. Left of them its slope s is `slope_left`, right of them `slope_right`; Δₖ is the change of
    slope at tₖ. All eleven are learned, without bounds, but `right` counts as 0.001 above `left` at least.
    They start at ReLU with the bounds ±3, which is exact because 0 is a knot.

    The pieces are useful where the data is: `calibrate(x)` puts the bounds at the mean ± 3 standard
    deviations of an input (of each channel, where it learns them per channel) and reads the heights and the
    outer slopes off the curve as it stands, which so stays the same at the new knots, not between them.

    Source: Zhou et al. 2021, https://arxiv.org/abs/2104.03693
    """

    learned = {name: Learned(value) for name, value in _RELU.items()}
    fixed_points = {nn.ReLU: _RELU}
    onnx_ops = ("Mul", *("Sub", "Relu", "Mul", "Add") * len(_HEIGHTS), "Add")

    def formula(
        self,
        x: Tensor,
        left: Tensor,
        right: Tensor,
        slope_left: Tensor,
        slope_right: Tensor,
        **heights: Tensor,
    ) -> Tensor:
        y = torch.stack(tuple(heights.values()))
        knots = torch.stack(_knots(left, right))
        slopes = y.diff(dim=0) / (_width(left, right) / INTERVALS)
        bends = torch.cat([slope_left[None], slopes, slope_right[None]]).diff(dim=0)
        return hinges(x, slope_left, bends, knots) + (y[0] - slope_left * knots[0])

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Moves the bounds to where x lies; the curve stays what it is at the new knots.

        x is an input as `forward` takes it. A channel that hardly varies keeps its bounds. Raises ValueError
        where x is empty or not finite.
        """
        self._broadcast(self._value("left"), x)  # raises where x has other channels
        size = () if self.channels is None else (self.channels,)
        current = {name: self._value(name).float().reshape(size) for name in self.learned}
        left, right = (bound.reshape(size) for bound in _bounds(x, self.channels, self.channel_axis))
        wide = right - left >= NARROWEST
        left, right = torch.where(wide, left, current["left"]), torch.where(wide, right, current["right"])
        knots = torch.stack(_knots(left, right))
        step = _width(left, right) / INTERVALS
        points = torch.cat([knots[:1] - step, knots, knots[-1:] + step])
        below, *heights, above = self.formula(points, **current)
        moved = {
            "left": left,
            "right": right,
            "slope_left": (heights[0] - below) / step,
            "slope_right": (above - heights[-1]) / step,
        } | dict(zip(_HEIGHTS, heights, strict=True))
        for name, value in moved.items():
            self.get_parameter(name).copy_(value)


def _knots(left: Tensor, right: Tensor) -> list[Tensor]:
    """The seven knots; the middle one is exactly 0 where the bounds are opposite."""
    right = left + _width(left, right)
    return [(left * (INTERVALS - k) + right * k) / INTERVALS for k in range(INTERVALS + 1)]


def _width(left: Tensor, right: Tensor) -> Tensor:
    """The distance of the bounds, which never falls to zero."""
    return (right - left).clamp(min=NARROWEST)


def _bounds(x: Tensor, channels: int | None, channel_axis: int) -> tuple[Tensor, Tensor]:
    """The mean of x ± DEVIATIONS, over all of it or in each channel: [1] or [C] each."""
    first = x.detach().float().movedim(channel_axis, 0) if channels else x.detach().float()
    rows = first.reshape(channels or 1, -1)
    if rows.shape[1] == 0 or not rows.isfinite().all():
        raise ValueError(
            f"`PWLU.calibrate` expects finite numbers, got {int((~rows.isfinite()).sum())} others in an "
            f"input of shape {list(x.shape)}"
        )
    reach = DEVIATIONS * rows.std(1, correction=0)
    return rows.mean(1) - reach, rows.mean(1) + reach
