"""SReLU, the S-shaped rectified linear unit."""

import math

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import clip, two_lines

# The share of the data that `calibrate` leaves below the right threshold.
_BELOW = 0.9


class SReLU(Activation):
    """x between tₗ and tᵣ, slope aₗ below and aᵣ above: three joined lines, S-shaped where both are flat.

    `tl` and `tr` are the thresholds, `al` and `ar` the slopes beyond them; all without bounds. Where training
    has moved tl past tr the middle is gone, and the two outer lines meet at tr. They start at 0, 6, 0.01 and
    1: LeakyReLU, whatever tr, which begins to act as ar leaves 1. Equals ReLU, LeakyReLU, torch's PReLU, the
    identity, ReLU6 and Hardtanh. `calibrate(x)` puts tr at the upper tenth of the data in x, best
    after a few epochs; while ar is 1 that leaves the output as it is.

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
        """Puts tr, in each channel, where a tenth of the values in x lie above it, but not below tl."""
        rows = x.movedim(self.channel_axis, 0).flatten(1) if self.channels else x.reshape(1, -1)
        rank = math.ceil(_BELOW * rows.shape[1])
        tl, tr = self.get_parameter("tl"), self.get_parameter("tr")
        with torch.no_grad():
            tr.copy_(torch.maximum(rows.to(tr).kthvalue(rank, dim=1).values, tl))
