"""tanh, erf and softsign with learned steepness or a learned linear term."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.types import Device

from adaptive_act.activation import Activation
from adaptive_act.kernels import negative_part, times
from adaptive_act.learned import Learned, StartValue


class ErfReLU(Activation):
    """x for x ≥ 0, α · erf(x) for x < 0: ReLU whose left side is an error function of learned depth.

    α is the depth, without bounds: 0 is ReLU. Starts at 1. Equals ReLU.

    Source: after Rajanand & Singh 2023, https://arxiv.org/abs/2306.01822
    """

    learned = {"alpha": Learned(1.0)}
    fixed_points = {nn.ReLU: {"alpha": 0.0}}
    onnx_ops = ("Relu", "Clip", "Erf", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor) -> Tensor:
        return torch.relu(x) + alpha * torch.erf(negative_part(x))


class LAAF(Activation):
    """tanh(n · a · x): tanh whose slope at zero is learned, for physics-informed networks.

    n > 0 is a fixed number (by default 1) that sets how strongly a change of a acts: a larger n trains
    faster, but is unstable if too large. a is unbounded and starts at 1/n, where it equals tanh for any n.
    The paper adds 1 / mean(exp(a)), over the layers, to the loss: this slope recovery term makes the slopes
    grow.

    Source: Jagtap et al. 2020 (locally adaptive activation functions with slope recovery),
    https://arxiv.org/abs/1909.12228
    """

    learned = {"a": Learned(1.0)}
    fixed_points = {nn.Tanh: {}}  # where it starts, whatever n is
    onnx_ops = ("Mul", "Tanh")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        n: float = 1.0,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        if not 0 < n < math.inf:
            raise ValueError(f"`LAAF` expects a finite factor n above 0, got {n}")
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **{"a": 1 / n} | values)
        self.n = float(n)

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return torch.tanh(self.n * a * x)

    def options(self) -> dict[str, Any]:
        return {"n": self.n}


class ScaledSoftSign(Activation):
    """αx / (β + |x|): Softsign with learned height and reach.

    α is the height that the curve tends to, without bounds; β > 0 is the distance from zero at which it
    reaches half of that. They start at 1, where it equals Softsign.

    Source: after Pishchik 2023, https://www.preprints.org/manuscript/202301.0463
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    fixed_points = {nn.Softsign: {"alpha": 1.0, "beta": 1.0}}
    onnx_ops = ("Abs", "Add", "Div", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return alpha * (x / (beta + x.abs()))


class Stan(Activation):
    """tanh(x) · (1 + βx): tanh that does not saturate, for outputs of unknown scale.

    β is the steepness that the curve tends to far from zero, upwards on both sides, without bounds. It starts
    at 1; with β = 0 it equals tanh.

    Source: Gnanasambandam et al. 2022, https://arxiv.org/abs/2204.12589
    """

    learned = {"beta": Learned(1.0)}
    fixed_points = {nn.Tanh: {"beta": 0.0}}
    onnx_ops = ("Tanh", "Mul", "Add", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return torch.tanh(x) * (1 + times(beta, x))


class TanhLU(Activation):
    """α · tanh(λx) + βx: tanh with a line added, which keeps a slope where tanh saturates.

    α is the height of the tanh part, λ its steepness, β the slope of the line. All are unbounded and start at
    1, 1, 0, where it equals tanh; with α = 0 and β = 1 it equals the identity.

    Source: after Shen et al. 2022, https://doi.org/10.1016/j.eswa.2022.117181
    """

    learned = {"alpha": Learned(1.0), "lambd": Learned(1.0), "beta": Learned(0.0)}
    fixed_points = {
        nn.Tanh: {"alpha": 1.0, "lambd": 1.0, "beta": 0.0},
        nn.Identity: {"alpha": 0.0, "lambd": 1.0, "beta": 1.0},
    }
    onnx_ops = ("Mul", "Tanh", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, lambd: Tensor, beta: Tensor) -> Tensor:
        return alpha * torch.tanh(lambd * x) + times(beta, x)
