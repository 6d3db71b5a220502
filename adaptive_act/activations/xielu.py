"""xIELU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.activation import Activation, Learned, Start


class XIELU(Activation):
    """αₚx² + βx for x > 0, αₙ(exp(x) − 1 − x) + βx for x ≤ 0: quadratic to the right, with a dip to the left.

    αₚ > 0 bends the right side. αₙ is learned as its `excess` over β, excess > 0, which keeps the far left
    rising again. β, the slope at zero, is an option, 0.5 unless given. αₚ starts at 0.8 and the excess at
    0.3, which makes αₙ 0.8 too. Equals no plain activation. Written as
    x · (αₚ · max(0, x) − excess) + αₙ · ELU(x), which is the same function.

    Source: Huang & Schlag 2024, https://arxiv.org/abs/2411.13010; there αₚ and the excess are kept positive
    by softplus, here by their logarithms.
    """

    learned = {"alpha_p": Learned(0.8, positive=True), "excess": Learned(0.3, positive=True)}
    onnx_ops = ("Relu", "Mul", "Sub", "Mul", "Elu", "Mul", "Add")

    def __init__(
        self, channels: int | None = None, channel_axis: int = 1, beta: float = 0.5, **values: Start
    ) -> None:
        super().__init__(channels, channel_axis, **values)
        self.beta = float(beta)

    def formula(self, x: Tensor, alpha_p: Tensor, excess: Tensor) -> Tensor:
        return x * (alpha_p * torch.relu(x) - excess) + (self.beta + excess) * F.elu(x)

    def options(self) -> dict[str, Any]:
        return {"beta": self.beta}
