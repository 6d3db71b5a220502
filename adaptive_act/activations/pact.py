"""PACT, the parametrised clipping activation."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import clip


class PACT(Activation):
    """min(max(0, x), a): ReLU with a learned ceiling, which keeps activations quantisable. Also ReLUN.

    a > 0 is the ceiling; a larger one clips less and tends to ReLU. Starts at 6, where it equals ReLU6. Only
    inputs above it move it.

    Source: after Choi et al. 2018, https://arxiv.org/abs/1805.06085; for ReLUN after Pishchik 2023
    """

    learned = {"a": Learned(6.0, positive=True)}
    fixed_points = {nn.ReLU6: {"a": "max_val"}}
    onnx_ops = ("Clip",)

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return clip(x, torch.zeros_like(a), a)
