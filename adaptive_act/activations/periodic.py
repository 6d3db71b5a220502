"""Functions with a sine or a cosine in them."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.kernels import limit
from adaptive_act.learned import Learned


class CosLU(Activation):
    """(x + α · cos(βx)) · sigmoid(x): SiLU with a ripple that the gate lets through.

    α is the height of the ripple and β its frequency, both without bounds. They start at 1; with α = 0 it
    equals SiLU, and α still receives its gradient.

    Source: after Pishchik 2023, https://www.preprints.org/manuscript/202301.0463
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0)}
    fixed_points = {nn.SiLU: {"alpha": 0.0, "beta": 1.0}}
    onnx_ops = ("Mul", "Cos", "Mul", "Add", "Sigmoid", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return (x + alpha * torch.cos(beta * limit(x, alpha))) * torch.sigmoid(x)


class PVLU(Activation):
    """max(0, x) + α · sin(βx): ReLU with a ripple, which keeps a gradient on the left.

    α is the height of the ripple and β its frequency, both without bounds. They start at 0.1 and 1; with
    α = 0 it equals ReLU, and α still receives its gradient.

    Source: after Gupta & Ahuja 2021, https://arxiv.org/abs/2110.12246
    """

    learned = {"alpha": Learned(0.1), "beta": Learned(1.0)}
    fixed_points = {nn.ReLU: {"alpha": 0.0, "beta": 1.0}}
    onnx_ops = ("Relu", "Mul", "Sin", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return torch.relu(x) + alpha * torch.sin(beta * limit(x, alpha))


class Snake(Activation):
    """x + sin²(ax) / a: the identity with a periodic part, for signals that repeat.

    a > 0 is the frequency of the ripple, and 1/a its height; it starts at 1. As a tends to 0 the curve
    tends to the identity but never reaches it, so it equals no plain activation.

    Source: Ziyin et al. 2020, https://arxiv.org/abs/2006.08195
    """

    learned = {"a": Learned(1.0, positive=True)}
    onnx_ops = ("Mul", "Sin", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return x + torch.sin(a * x).square() / a


class SnakeBeta(Activation):
    """x + sin²(αx) / β: Snake whose ripple has a height of its own.

    α > 0 is the frequency of the ripple, and 1/β > 0 its height; both start at 1, where it equals Snake. As β
    tends to ∞ the curve tends to the identity but never reaches it, so it equals no plain activation.

    Source: Lee et al. 2022 (BigVGAN), https://arxiv.org/abs/2206.04658
    """

    learned = {"alpha": Learned(1.0, positive=True), "beta": Learned(1.0, positive=True)}
    onnx_ops = ("Mul", "Sin", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return x + torch.sin(alpha * x).square() / beta
