"""Slopes, thresholds and clips."""

from tests.adaptive_act.references.scalar import Reference

PIECEWISE = (Reference("PReLU", lambda x, v: x if x > 0 else v["a"] * x),)
