"""Blends of plain activations, and plain activations with learned scales and shifts."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.types import Device

from adaptive_act.activation import Activation
from adaptive_act.activations.exponential import PELU
from adaptive_act.activations.rectified import PReLU
from adaptive_act.fused import blend, cubic_right, scaled_cube
from adaptive_act.kernels import limit, times
from adaptive_act.learned import Learned, StartValue
from adaptive_act.plain import PLAIN, Description, build, describe

_ABU_ZERO = {"w_tanh": 0.0, "w_elu": 0.0, "w_relu": 0.0, "w_identity": 0.0, "w_silu": 0.0}
Side = Literal["positive", "both"]
NEAAF_BASES: dict[str, type[nn.Module]] = {
    "ReLU": nn.ReLU,
    "PReLU": PReLU,
    "ELU": nn.ELU,
    "PELU": PELU,
    "SiLU": nn.SiLU,
}


class ABU(Activation):
    """Σ wᵢ · fᵢ(x) over tanh, ELU, ReLU, identity and SiLU: a blend whose weights are learned.

    Each weight is unbounded and starts at 1/5. With one weight at 1 and the others at 0 it equals that
    member, and every weight still receives its gradient.

    Source: Sütfeld et al. 2018, https://arxiv.org/abs/1806.10064 (the unrestricted variant)
    """

    learned = {name: Learned(0.2) for name in _ABU_ZERO}
    fixed_points = {
        nn.Tanh: _ABU_ZERO | {"w_tanh": 1.0},
        nn.ELU: _ABU_ZERO | {"w_elu": 1.0},
        nn.ReLU: _ABU_ZERO | {"w_relu": 1.0},
        nn.Identity: _ABU_ZERO | {"w_identity": 1.0},
        nn.SiLU: _ABU_ZERO | {"w_silu": 1.0},
    }
    onnx_ops = (
        *("Tanh", "Elu", "Sigmoid", "Relu", "Mul", "Add", "Mul"),
        *("Mul", "Add", "Mul", "Add", "Mul", "Add"),
    )

    def formula(
        self, x: Tensor, w_tanh: Tensor, w_elu: Tensor, w_relu: Tensor, w_identity: Tensor, w_silu: Tensor
    ) -> Tensor:
        return blend(x, w_tanh, w_elu, w_relu, w_identity, w_silu)


class Affine(Activation):
    """α · f(βx + γ) + δ: any plain activation f with learned scales and shifts on both sides.

    α and β scale, γ and δ shift; they start at 1, 1, 0, 0, where it equals f. Next to linear layers it adds
    nothing that the layers cannot express: it only changes the course of training, and folds away at export.

    Source: Kunc & Kléma 2021 (transformative adaptive activation functions), surveyed in
    https://arxiv.org/abs/2402.09249
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0), "gamma": Learned(0.0), "delta": Learned(0.0)}
    fixed_points = {
        plain.module: {"alpha": 1.0, "beta": 1.0, "gamma": 0.0, "delta": 0.0} for plain in PLAIN.values()
    }
    onnx_ops = ("Mul", "Add", "Tanh", "Mul", "Add")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        base: str | Description | type[nn.Module] | nn.Module = "Tanh",
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        self.base = build(base)

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor, delta: Tensor) -> Tensor:
        transformed: Tensor = alpha * self.base(beta * x + gamma) + delta
        return transformed

    def options(self) -> dict[str, Any]:
        return {"base": describe(self.base)}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        return {"base": plain}


class DynActivation(Activation):
    """(α − β) · f(x) + βx: any plain activation f, moved towards the identity.

    α is the slope of the whole wherever f has slope 1, β the weight of the line. Both are unbounded. They
    start at 1 and 0, where it equals f (by default Mish). With both at 1 it equals the identity.

    Source: Bachmann 2026, https://arxiv.org/abs/2603.22154
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(0.0)}
    fixed_points = {plain.module: {"alpha": 1.0, "beta": 0.0} for plain in PLAIN.values()} | {
        nn.Identity: {"alpha": 1.0, "beta": 1.0}
    }
    onnx_ops = ("Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul", "Add", "Mul")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        base: str | Description | type[nn.Module] | nn.Module = "Mish",
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        self.base = build(base)

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        apart = alpha - beta
        blend: Tensor = apart * self.base(limit(x, apart)) + times(beta, x)
        return blend

    def options(self) -> dict[str, Any]:
        return {"base": describe(self.base)}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        return {} if isinstance(plain, nn.Identity) else {"base": plain}


class NEAAF(Activation):
    """α · g(x) + γβ · c(x): a base activation g and a cubic c, both with a learned weight.

    α starts at 1 and β at 0, where it equals its base. γ is a fixed number that sets how strongly a change of
    β acts (by default 0.1; a larger γ acts faster and diverges more often). g is ReLU, PReLU, ELU, PELU or
    SiLU.

    The paper's abstract calls the cubic "even", and public summaries disagree on what that means, so both
    readings are available: `side="positive"`, the default, is c(x) = max(0, x)³, which leaves the left side
    of ReLU at zero; `side="both"` is c(x) = |x|³. It is not verified which one the author used.

    Source: Yevick 2024, https://arxiv.org/abs/2403.19896
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(0.0)}
    fixed_points = {
        plain: {"alpha": 1.0, "beta": 0.0} for plain in (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU)
    }
    in_float32 = True
    onnx_ops = ("Relu", "Mul", "Mul", "Add", "Mul")

    def __init__(  # noqa: PLR0913  # each argument is a choice of the user
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        base: str | type[nn.Module] | nn.Module = "ReLU",
        side: Side = "positive",
        gamma: float = 0.1,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        if side not in ("positive", "both"):
            raise ValueError(f"`NEAAF` expects side `positive` or `both`, got `{side}`")
        if isinstance(base, nn.PReLU):
            base = PReLU.at_fixed_point(base, channels, channel_axis, device="cpu")
        if isinstance(base, Activation):
            channels = channels or base.channels
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        self.side: Side = side
        self.gamma = float(gamma)
        self.base = _build_base(base, channels, channel_axis, device=device, dtype=dtype)

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        if self.side == "positive" and isinstance(self.base, nn.ReLU):
            return cubic_right(x, alpha, self.gamma * beta)
        side = torch.relu(x) if self.side == "positive" else x.abs()
        blend: Tensor = alpha * self.base(x) + scaled_cube(side, self.gamma * beta)
        return blend

    def options(self) -> dict[str, Any]:
        return {"base": type(self.base).__name__, "side": self.side, "gamma": self.gamma}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        learned_slope = isinstance(plain, nn.LeakyReLU | nn.PReLU)
        return {"base": PReLU.at_fixed_point(plain) if learned_slope else type(plain)}


def _build_base(
    base: str | type[nn.Module] | nn.Module,
    channels: int | None,
    channel_axis: int,
    *,
    device: Device,
    dtype: torch.dtype | None,
) -> nn.Module:
    """The base as a module of its own, with the granularity of the whole where it learns."""
    values = base.values() if isinstance(base, Activation) else {}
    kind = base if isinstance(base, str | type) else type(base)
    name = kind if isinstance(kind, str) else kind.__name__
    if name not in NEAAF_BASES:
        raise ValueError(f"`NEAAF` expects a base among {list(NEAAF_BASES)}, got `{name}`")
    chosen = NEAAF_BASES[name]
    if not issubclass(chosen, Activation):
        plain = chosen()
        if isinstance(base, nn.Module) and describe(base) != describe(plain):
            raise ValueError(f"`NEAAF` expects a base with torch's default arguments, got `{base}`")
        return plain
    return chosen(channels, channel_axis, device=device, dtype=dtype, **values)
