"""Adaptive Hardswish."""

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class AdaptiveHardswish(Activation):
    """x · min(max(ax + b, 0), 1): Hardswish whose ramp from off to on is learned.

    a is the steepness of the ramp and b its height at x = 0: b in (0, 1) places the ramp across zero. Both
    are unbounded and start at 1/6 and 1/2, where it equals Hardswish. Where no input meets the ramp, neither
    parameter gets a gradient.

    Source: after Howard et al. 2019, https://arxiv.org/abs/1905.02244, for Hardswish.
    """

    learned = {"a": Learned(1 / 6), "b": Learned(0.5)}
    fixed_points = {nn.Hardswish: {"a": 1 / 6, "b": 0.5}}
    onnx_ops = ("Mul", "Add", "HardSigmoid", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        # hardsigmoid(u) = min(max(u / 6 + 1/2, 0), 1), in one pass forward and one backward.
        return x * F.hardsigmoid(6 * a * x + (6 * b - 3))
