"""Soft threshold."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import clip


class SoftThreshold(Activation):
    """sign(x) · max(|x| − τ, 0): zero up to τ, and closer to zero by τ beyond.

    For sparse codes and denoising. τ > 0 is the threshold; towards 0 it tends to the identity. Starts at
    0.5. Equals Softshrink.

    Source: after Gregor & LeCun 2010 (LISTA) and Zhao et al. 2020 (deep residual shrinkage networks)
    """

    learned = {"tau": Learned(0.5, positive=True)}
    fixed_points = {nn.Softshrink: {"tau": "lambd"}}
    onnx_ops = ("Clip", "Sub")

    def formula(self, x: Tensor, tau: Tensor) -> Tensor:
        return x - clip(x, -tau, tau)
