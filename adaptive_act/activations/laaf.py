"""LAAF, the locally adaptive tanh of Jagtap."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start


class LAAF(Activation):
    """tanh(n · a · x): tanh whose slope at zero is learned, for physics-informed networks.

    n > 0 is a fixed number (1 unless given) that sets how strongly a change of a acts: larger trains faster,
    and is unstable if too large. a is unbounded and starts at 1/n, where it equals tanh for any n. Its paper
    adds 1 / mean(exp(a)), over the layers, to the loss: the slope recovery term, which makes the slopes grow.

    Source: Jagtap et al. 2020 (locally adaptive activation functions with slope recovery),
    https://arxiv.org/abs/1909.12228
    """

    learned = {"a": Learned(1.0)}
    fixed_points = {nn.Tanh: {}}  # where it starts, whatever n is
    onnx_ops = ("Mul", "Tanh")

    def __init__(
        self, channels: int | None = None, channel_axis: int = 1, n: float = 1.0, **values: Start
    ) -> None:
        if not 0 < n < math.inf:
            raise ValueError(f"`LAAF` expects a finite factor n above 0, got {n}")
        super().__init__(channels, channel_axis, **{"a": 1 / n} | values)
        self.n = float(n)

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return torch.tanh(self.n * a * x)

    def options(self) -> dict[str, Any]:
        return {"n": self.n}
