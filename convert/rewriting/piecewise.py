"""Piecewise linear functions of one number, in float64: lines between knots, added, scaled, cut off at 0."""

from dataclasses import dataclass

import numpy as np

from convert.rewriting.graph import Array

NOISE = 1e-12  # of the largest slope: what rounding in float64 leaves of a bend that is none


@dataclass(frozen=True, slots=True)
class Piecewise:
    """slopes[i] · x + offsets[i] between knots[i − 1] and knots[i]: continuous, one more line than knots."""

    knots: Array
    slopes: Array
    offsets: Array

    def scaled(self, factor: float) -> "Piecewise":
        """factor · f(x)."""
        return Piecewise(self.knots, self.slopes * factor, self.offsets * factor).simplest()

    def shifted(self, addend: float) -> "Piecewise":
        """f(x) + addend."""
        return Piecewise(self.knots, self.slopes, self.offsets + addend)

    def plus(self, other: "Piecewise") -> "Piecewise":
        """f(x) + g(x)."""
        knots = np.union1d(self.knots, other.knots)
        one, two = (each.at_knots(knots) for each in (self, other))
        return Piecewise(knots, one.slopes + two.slopes, one.offsets + two.offsets).simplest()

    def rectified(self) -> "Piecewise":
        """max(0, f(x))."""
        edges = np.concatenate([[-np.inf], self.knots, [np.inf]])
        crossings = [
            zero
            for slope, offset, low, high in zip(self.slopes, self.offsets, edges[:-1], edges[1:], strict=True)
            if slope != 0 and low < (zero := -offset / slope) < high
        ]
        whole = self.at_knots(np.union1d(self.knots, crossings))
        above = whole.slopes * _within(whole.knots) + whole.offsets > 0
        return Piecewise(whole.knots, whole.slopes * above, whole.offsets * above).simplest()

    def at_knots(self, knots: Array) -> "Piecewise":
        """The same function with at least these knots, which hold its own."""
        lines = np.searchsorted(self.knots, _within(knots))
        return Piecewise(knots, self.slopes[lines], self.offsets[lines])

    def simplest(self) -> "Piecewise":
        """The same function without the knots at which it does not bend."""
        bends = np.abs(np.diff(self.slopes)) > NOISE * np.abs(self.slopes).max(initial=0.0)
        kept = np.concatenate([[True], bends])
        return Piecewise(self.knots[bends], self.slopes[kept], self.offsets[kept])


IDENTITY = Piecewise(np.zeros(0), np.ones(1), np.zeros(1))


def _within(knots: Array) -> Array:
    """A number inside of each of the intervals that the knots part."""
    if not knots.size:
        return np.zeros(1)
    return np.concatenate([[knots[0] - 1], (knots[:-1] + knots[1:]) / 2, [knots[-1] + 1]])
