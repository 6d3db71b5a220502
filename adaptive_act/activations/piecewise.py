"""Piecewise linear functions with learned knots and slopes."""

import math

import torch
from torch import Tensor, nn

from adaptive_act import layout
from adaptive_act.activation import Activation
from adaptive_act.kernels import clip, hinges, times, two_lines, two_slopes
from adaptive_act.learned import Learned

MELU_HATS = ((2.0, 2.0), (1.0, 1.0), (3.0, 1.0))
"""The place and the half-width of each hat: a wide one, and two halves of it."""
PWLU_INTERVALS = 6
PWLU_NARROWEST = 1e-3
"""The least distance between the two bounds."""
PWLU_DEVIATIONS = 3.0
"""How far from the mean of the input `calibrate` puts each bound, in standard deviations."""
_PWLU_HEIGHTS = tuple(f"y{k}" for k in range(PWLU_INTERVALS + 1))
_PWLU_RELU = {"left": -3.0, "right": 3.0, "slope_left": 0.0, "slope_right": 1.0} | {
    name: max(0.0, k - 3.0) for k, name in enumerate(_PWLU_HEIGHTS)
}
# The share of the data that `calibrate` leaves below the right threshold.
_SRELU_BELOW = 0.9


class APL(Activation):
    """max(0, x) + Σ aₛ · max(0, bₛ − x), s from 1 to 2: ReLU that bends left of learned hinges.

    aₛ is how much the slope falls left of the hinge bₛ. Neither has bounds. Right of all hinges the curve is
    ReLU. a starts at 0, where it equals ReLU, and the hinges at ±1/2; the hinges move only after a has moved.
    At a1 = −1 with b1 = 0 it equals the identity.

    Source: Agostinelli et al. 2014, https://arxiv.org/abs/1412.6830; there a and b start at random
    """

    learned = {"a1": Learned(0.0), "b1": Learned(-0.5), "a2": Learned(0.0), "b2": Learned(0.5)}
    fixed_points = {
        nn.ReLU: {"a1": 0.0, "b1": -0.5, "a2": 0.0, "b2": 0.5},
        nn.Identity: {"a1": -1.0, "b1": 0.0, "a2": 0.0, "b2": 0.5},
    }
    onnx_ops = ("Relu", *("Sub", "Relu", "Mul", "Add") * 2)

    def formula(self, x: Tensor, a1: Tensor, b1: Tensor, a2: Tensor, b2: Tensor) -> Tensor:
        return torch.relu(x) + times(a1, torch.relu(b1 - x)) + times(a2, torch.relu(b2 - x))


class MeLU(Activation):
    """max(0, x) + a · min(0, x) + Σ cⱼ · max(0, wⱼ − |x − mⱼ|), j from 1 to 3: PReLU with hats.

    a is the slope left of zero. cⱼ raises or lowers a hat, a triangle at a fixed place: a wide one on [0, 4],
    and two narrow ones on [0, 2] and [2, 4]. None has bounds. Beyond 4 the curve is x. All start at 0, where
    it equals ReLU; with c = 0 it is PReLU, and equals LeakyReLU, torch's PReLU and the identity.

    Source: after Maguolo et al. 2019, https://arxiv.org/abs/1905.02473; the hats are placed here for
    normalised inputs, there for those of images
    """

    learned = {"a": Learned(0.0), "c1": Learned(0.0), "c2": Learned(0.0), "c3": Learned(0.0)}
    fixed_points = {
        nn.ReLU: {"a": 0.0, "c1": 0.0, "c2": 0.0, "c3": 0.0},
        nn.LeakyReLU: {"a": "negative_slope", "c1": 0.0, "c2": 0.0, "c3": 0.0},
        nn.PReLU: {"a": "weight", "c1": 0.0, "c2": 0.0, "c3": 0.0},
        nn.Identity: {"a": 1.0, "c1": 0.0, "c2": 0.0, "c3": 0.0},
    }
    onnx_ops = ("LeakyRelu", *("Sub", "Abs", "Sub", "Relu", "Mul", "Add") * len(MELU_HATS))

    def formula(self, x: Tensor, a: Tensor, **heights: Tensor) -> Tensor:
        total = two_slopes(x, a)
        for height, (middle, width) in zip(heights.values(), MELU_HATS, strict=True):
            total = total + height * torch.relu(width - (x - middle).abs())
        return total


class PACT(Activation):
    """min(max(0, x), a): ReLU with a learned ceiling, which keeps activations quantisable. Also ReLUN.

    a > 0 is the ceiling; a larger ceiling clips less, and the curve tends to ReLU. a starts at 6, where it
    equals ReLU6. Only inputs above the ceiling give it a gradient.

    Source: after Choi et al. 2018, https://arxiv.org/abs/1805.06085; for ReLUN after Pishchik 2023
    """

    learned = {"a": Learned(6.0, positive=True)}
    fixed_points = {nn.ReLU6: {"a": "max_val"}}
    onnx_ops = ("Clip",)

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return clip(x, torch.zeros_like(a), a)


class PiLU(Activation):
    """c + a · max(0, x − c) + b · min(0, x − c): two lines that meet on the diagonal, at c.

    a is the slope right of the knot c, b the slope left of it. All are unbounded; a starts at 1, b at 0.01
    and c at 1. With a = b = 1 it is the identity for any knot. At c = 0 it equals ReLU, LeakyReLU and torch's
    PReLU.

    Source: after Inturrisi et al. 2021, surveyed in https://arxiv.org/abs/2402.09092
    """

    learned = {"a": Learned(1.0), "b": Learned(0.01), "c": Learned(1.0)}
    fixed_points = {
        nn.ReLU: {"a": 1.0, "b": 0.0, "c": 0.0},
        nn.LeakyReLU: {"a": 1.0, "b": "negative_slope", "c": 0.0},
        nn.PReLU: {"a": 1.0, "b": "weight", "c": 0.0},
        nn.Identity: {"a": 1.0, "b": 1.0, "c": 0.0},
    }
    onnx_ops = ("Sub", "LeakyRelu", "Mul", "Add")

    def formula(self, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return two_lines(x - c, a, b) + c


class PLU(Activation):
    """x for |x| ≤ c, slope α beyond: three joined lines between tanh and ReLU.

    c > 0 is the half-width of the middle piece. α is the slope outside it, without bounds: 0 is Hardtanh, 1
    the identity. They start at 1 and 0.1. Equals Hardtanh with bounds ±c, and the identity.

    Source: after Nicolae 2018, https://arxiv.org/abs/1809.09534; there it is written as
    max(α(x + c) − c, min(α(x − c) + c, x)), which is the same for α ≤ 1.
    """

    learned = {"alpha": Learned(0.1), "c": Learned(1.0, positive=True)}
    fixed_points = {nn.Hardtanh: {"alpha": 0.0, "c": "max_val"}, nn.Identity: {"alpha": 1.0, "c": 1.0}}
    onnx_ops = ("Clip", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, c: Tensor) -> Tensor:
        middle = clip(x, -c, c)
        return middle + times(alpha, x - middle)


class PWLU(Activation):
    """y₀ + s(x − t₀) + Σ Δₖ · max(0, x − tₖ), k from 0 to 6: eight straight pieces.

    The knots tₖ divide the range from `left` to `right` into six equal intervals; yₖ is the height at each
    knot. The slope s left of all knots is `slope_left`, the slope right of them `slope_right`; Δₖ is the
    change of slope at tₖ. All eleven numbers are learned, without bounds, but `right` counts as at least
    0.001 above `left`. They start at ReLU with the bounds ±3, which is exact because 0 is a knot.

    The pieces should cover the data: `calibrate(x)` puts the bounds at the mean ± 3 standard deviations of an
    input (of each channel, if it learns them per channel), and takes the heights and the outer slopes from
    the current curve. The curve stays the same at the new knots, but not between them.

    Source: Zhou et al. 2021, https://arxiv.org/abs/2104.03693
    """

    learned = {name: Learned(value) for name, value in _PWLU_RELU.items()}
    fixed_points = {nn.ReLU: _PWLU_RELU}
    onnx_ops = ("Mul", *("Sub", "Relu", "Mul", "Add") * len(_PWLU_HEIGHTS), "Add")

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
        knots = torch.stack(_place_knots(left, right))
        slopes = y.diff(dim=0) / (_total_width(left, right) / PWLU_INTERVALS)
        bends = torch.cat([slope_left[None], slopes, slope_right[None]]).diff(dim=0)
        return hinges(x, slope_left, bends, knots, len(heights)) + (y[0] - slope_left * knots[0])

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Moves the bounds to where x lies; the curve stays what it is at the new knots.

        x is an input as `forward` takes it. A channel that hardly varies keeps its bounds. Raises ValueError
        where x is empty, not finite or has other channels.
        """
        rows = _list_rows(x, self.place)
        size = () if self.channels is None else (self.channels,)
        current = {name: self._value(name).to(rows.dtype).reshape(size) for name in self.learned}
        middle, reach = rows.mean(1), PWLU_DEVIATIONS * rows.std(1, correction=0)
        left, right = (middle - reach).reshape(size), (middle + reach).reshape(size)
        wide = right - left >= PWLU_NARROWEST
        left, right = torch.where(wide, left, current["left"]), torch.where(wide, right, current["right"])
        knots = torch.stack(_place_knots(left, right))
        step = _total_width(left, right) / PWLU_INTERVALS
        points = torch.cat([knots[:1] - step, knots, knots[-1:] + step])
        below, *heights, above = self.formula(points, **current)
        moved = {
            "left": left,
            "right": right,
            "slope_left": (heights[0] - below) / step,
            "slope_right": (above - heights[-1]) / step,
        } | dict(zip(_PWLU_HEIGHTS, heights, strict=True))
        for name, value in moved.items():
            self.get_parameter(name).copy_(value)


class SoftThreshold(Activation):
    """sign(x) · max(|x| − τ, 0): zero up to τ, and closer to zero by τ beyond.

    It is used for sparse codes and denoising. τ > 0 is the threshold; as τ tends to 0 the curve tends to the
    identity. τ starts at 0.5. Equals Softshrink.

    Source: after Gregor & LeCun 2010 (LISTA) and Zhao et al. 2020 (deep residual shrinkage networks)
    """

    learned = {"tau": Learned(0.5, positive=True)}
    fixed_points = {nn.Softshrink: {"tau": "lambd"}}
    onnx_ops = ("Clip", "Sub")

    def formula(self, x: Tensor, tau: Tensor) -> Tensor:
        return x - clip(x, -tau, tau)


class SReLU(Activation):
    """x between tₗ and tᵣ, slope aₗ below and aᵣ above: three joined lines, S-shaped where both are flat.

    `tl` and `tr` are the thresholds, `al` and `ar` the slopes beyond them; all are unbounded. If training
    moves tl past tr, the middle piece vanishes and the two outer lines meet at tr. They start at 0, 6, 0.01
    and 1, which is LeakyReLU; tr has no effect while ar is 1. Equals ReLU, LeakyReLU, torch's PReLU, the
    identity, ReLU6 and Hardtanh. `calibrate(x)` puts tr at the upper tenth of the data in x, best after a few
    epochs; it does not change the output while ar is 1.

    Source: after Jin et al. 2015, https://arxiv.org/abs/1512.07030
    """

    learned = {"tl": Learned(0.0), "al": Learned(0.01), "tr": Learned(6.0), "ar": Learned(1.0)}
    fixed_points = {
        nn.ReLU: {"tl": 0.0, "al": 0.0, "tr": 6.0, "ar": 1.0},
        nn.LeakyReLU: {"tl": 0.0, "al": "negative_slope", "tr": 6.0, "ar": 1.0},
        nn.PReLU: {"tl": 0.0, "al": "weight", "tr": 6.0, "ar": 1.0},
        nn.Identity: {"tl": 0.0, "al": 1.0, "tr": 6.0, "ar": 1.0},
        nn.ReLU6: {"tl": "min_val", "al": 0.0, "tr": "max_val", "ar": 0.0},
        nn.Hardtanh: {"tl": "min_val", "al": 0.0, "tr": "max_val", "ar": 0.0},
    }
    onnx_ops = ("Clip", "Sub", "LeakyRelu", "Mul", "Add")

    def formula(self, x: Tensor, tl: Tensor, al: Tensor, tr: Tensor, ar: Tensor) -> Tensor:
        middle = clip(x, torch.minimum(tl, tr), tr)
        return middle + two_lines(x - middle, ar, al)

    def calibrate(self, x: Tensor) -> None:
        """Puts tr, in each channel, where a tenth of the values in x lie above it, but not below tl.

        Raises ValueError where x is empty, not finite or has other channels.
        """
        rows = _list_rows(x, self.place)
        rank = math.ceil(_SRELU_BELOW * rows.shape[1])
        tl, tr = self.get_parameter("tl"), self.get_parameter("tr")
        with torch.no_grad():
            tr.copy_(torch.maximum(rows.kthvalue(rank, dim=1).values.to(tl), tl))


def _place_knots(left: Tensor, right: Tensor) -> list[Tensor]:
    """The seven knots; the middle one is exactly 0 where the bounds are opposite."""
    right = left + _total_width(left, right)
    return [(left * (PWLU_INTERVALS - k) + right * k) / PWLU_INTERVALS for k in range(PWLU_INTERVALS + 1)]


def _total_width(left: Tensor, right: Tensor) -> Tensor:
    """The distance of the bounds, which never falls to zero."""
    return (right - left).clamp(min=PWLU_NARROWEST)


def _list_rows(x: Tensor, place: layout.Place) -> Tensor:
    """The numbers of x, of all channels together or of each: [1, n] or [C, n], in float32 at least."""
    axis, channels, name = place
    if channels:
        layout.spread(x.new_empty(channels), x, place)  # raises where x has other channels
    numbers = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    rows = (numbers.movedim(axis, 0) if channels else numbers).reshape(channels or 1, -1)
    if rows.numel() == 0 or not rows.isfinite().all():
        raise ValueError(
            f"`{name}.calibrate` expects finite numbers, got {int((~rows.isfinite()).sum())} others in an "
            f"input of shape {list(x.shape)}"
        )
    return rows
