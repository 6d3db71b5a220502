"""What the activations have learned, for people to see."""

from adaptive_act.explain.curves import draw_curves

__all__ = ["draw_curves"]
