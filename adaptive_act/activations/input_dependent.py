"""Activations whose shape depends on the input, by a small network or by statistics."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.types import Device

from adaptive_act import layout
from adaptive_act.activation import Activation
from adaptive_act.activations.small_network import Norm, ZeroLinear, bottleneck_width
from adaptive_act.kernels import negative_part
from adaptive_act.learned import Learned, StartValue


def require_channels(kind: type[Activation], channels: int | None) -> int:
    """The number of channels; raises ValueError where none is given, since the layers need their sizes."""
    if not channels:
        raise ValueError(
            f"`{kind.__name__}` looks at the channels of its input and has to know how many there are: pass "
            f"`channels=`, or an `example=` to `swap`; got `{channels}`"
        )
    return channels


class APReLU(Activation):
    """max(0, x) + (a + σ(z) − 1/2) · min(0, x): PReLU, whose slope each sample sets for each of its channels.

    a is the slope left of zero that all samples share, without bounds; it starts at 0.25. A small network
    adds or subtracts up to 1/2. It computes z = N₂(W₂ · relu(N₁(W₁m))) from the means m of max(0, x) and of
    min(0, x) in every channel, where N₁ and N₂ are batch normalisations. The scale of N₂ and with it z start
    at zero, where it equals PReLU: its fixed points are ReLU, LeakyReLU, torch's PReLU and the identity.
    `channels` is required. A training batch with one number per channel uses the running statistics.

    Source: after Zhao et al. 2020, https://doi.org/10.1109/TIE.2020.2972458; there the slope is σ(z), which
    is this at a = 1/2
    """

    elementwise = False
    learned = {"a": Learned(0.25)}
    fixed_points = {
        nn.ReLU: {"a": 0.0},
        nn.LeakyReLU: {"a": "negative_slope"},
        nn.PReLU: {"a": "weight"},
        nn.Identity: {"a": 1.0},
    }
    onnx_ops = (
        *("Relu", "Clip", "ReduceMean", "ReduceMean", "Concat", "Gemm", "Relu", "Gemm", "Reshape"),
        *("Mul", "Tanh", "Mul", "Add", "Mul", "Add"),
    )

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        count = require_channels(type(self), channels)
        self.squeeze = nn.Linear(2 * count, count, bias=False, device=device, dtype=dtype)
        self.squeeze_norm = Norm(count, device=device, dtype=dtype)
        self.excite = nn.Linear(count, count, bias=False, device=device, dtype=dtype)
        self.excite_norm = Norm(count, scale=0.0, device=device, dtype=dtype)

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        sides = (torch.relu(x), negative_part(x))
        seen = torch.cat([layout.pool(side, self.place) for side in sides], dim=1)
        seen = seen.to(self.squeeze.weight.dtype)
        hidden = torch.relu(self.squeeze_norm(self.squeeze(seen)))
        z = layout.align(self.excite_norm(self.excite(hidden)), x, self.place)
        return sides[0] + (a + torch.tanh(z / 2) / 2) * sides[1]


class Dice(Activation):
    """p · x + (1 − p) · αx with p = σ((x − E) / √(V + 1e-8)): PReLU, whose corner follows the data.

    α is the slope that the left side tends to, without bounds, and starts at 0. E and V are the mean and the
    variance of each channel: those of the batch in training, running ones in evaluation, as in batch
    normalisation. At α = 1 it equals the identity for any data; at the start it is near SiLU on a normalised
    input, but equals no activation with a corner. `channels` is required. A training batch with one number
    per channel uses the running statistics.

    Source: Zhou et al. 2018 (Deep Interest Network), https://arxiv.org/abs/1706.06978
    """

    elementwise = False
    learned = {"alpha": Learned(0.0)}
    fixed_points = {nn.Identity: {"alpha": 1.0}}
    onnx_ops = ("BatchNormalization", "Sigmoid", "Mul", "Add", "Mul")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        count = require_channels(type(self), channels)
        self.norm = Norm(count, eps=1e-8, affine=False, device=device, dtype=dtype)

    def formula(self, x: Tensor, alpha: Tensor) -> Tensor:
        normal = layout.move_back(self.norm(layout.move_second(x, self.place)), x, self.place)
        return x * (alpha + (1 - alpha) * torch.sigmoid(normal))


class DYReLU(Activation):
    """max(a₁x + b₁, a₂x + b₂): the larger of two lines, which each sample sets for each of its channels.

    A small network computes the lines from the mean m of every channel: a₁ = 1 + θ₁, a₂ = θ₂, b₁ = θ₃ / 2,
    b₂ = θ₄ / 2, with θ = tanh(W₂ · relu(W₁m + c₁) + c₂) between −1 and 1. W₂ and c₂ start at zero, where it
    equals ReLU. `channels` is required; `reduction` (4) is the number of channels per hidden unit between W₁
    and W₂.

    Source: Chen et al. 2020, https://arxiv.org/abs/2003.10027 (form B), whose 2σ(z) − 1 is tanh(z / 2); the
    half is left to W₂ here
    """

    elementwise = False
    learned = {}
    fixed_points = {nn.ReLU: {}}
    onnx_ops = (
        *("ReduceMean", "Gemm", "Relu", "Gemm", "Tanh", "Reshape", "Split"),
        *("Add", "Mul", "Mul", "Add", "Mul", "Mul", "Add", "Max"),
    )

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        reduction: int = 4,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype)
        count = require_channels(type(self), channels)
        self.reduction = reduction
        width = bottleneck_width(count, reduction)
        self.squeeze = nn.Linear(count, width, device=device, dtype=dtype)
        self.excite = ZeroLinear(width, 4 * count, device=device, dtype=dtype)

    def formula(self, x: Tensor) -> Tensor:
        seen = layout.pool(x, self.place).to(self.squeeze.weight.dtype)
        theta = torch.tanh(self.excite(torch.relu(self.squeeze(seen))))
        lines = layout.align(theta, x, self.place)
        a1, a2, b1, b2 = lines.chunk(4, dim=layout.find_axis(x, self.place))
        return torch.maximum((1 + a1) * x + b1 / 2, a2 * x + b2 / 2)

    def options(self) -> dict[str, Any]:
        return {"reduction": self.reduction}


class Funnel(Activation):
    """max(x, T(x)) with T(x) = N(W ∗ x): ReLU, whose zero becomes what each place's neighbours say.

    W is one 3×3 filter per channel, N a batch normalisation; x is [batch, channels, height, width]. The scale
    of N starts at zero, where T is 0 and it equals ReLU; the scale learns first, and the filter after it.
    `channels` is required. It is also called FReLU, which is the name of another activation too.

    Source: Ma et al. 2020, https://arxiv.org/abs/2007.11824
    """

    elementwise = False
    learned = {}
    fixed_points = {nn.ReLU: {}}
    onnx_ops = ("Conv", "Max")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype)
        count = require_channels(type(self), channels)
        if channel_axis not in (1, -3):
            raise ValueError(
                f"`Funnel` looks at images with their channels along axis 1, got axis {channel_axis}"
            )
        factory: Any = {"device": device, "dtype": dtype}
        self.filter = nn.Conv2d(count, count, 3, padding=1, groups=count, bias=False, **factory)
        self.norm = Norm(count, scale=0.0, device=device, dtype=dtype)

    def formula(self, x: Tensor) -> Tensor:
        x = layout.require_images(x, self.place)
        seen = self.norm(self.filter(x.to(self.filter.weight.dtype)))
        return torch.maximum(x, seen.to(x.dtype))

    def curve(self, points: Tensor) -> Tensor:
        """The activation in the middle of a constant image, in evaluation mode: [C, n]; float64, CPU."""
        twin = copy.deepcopy(self).to("cpu", torch.float64).eval()
        centres = points.to("cpu", torch.float64).reshape(-1, 1, 1, 1)
        images = centres.expand(-1, self.filter.in_channels, 3, 3)
        with torch.no_grad():
            values: Tensor = twin.forward(images)
        return values[:, :, 1, 1].T.contiguous()


class MetaACON(Activation):
    """(p₁ − p₂)x · sigmoid(β(p₁ − p₂)x) + p₂x: ACON, whose sharpness β each sample sets for its channels.

    p₁ and p₂, without bounds, are the slopes far right and far left; β in (0, 2) sets how sharply one passes
    into the other. A small network computes β from the mean m of every channel:
    β = 2 · sigmoid(W₂(W₁m + c₁) + c₂). W₂ and c₂ start at zero, so β starts at 1. With the starts p₁ = 1 and
    p₂ = 0 it equals SiLU, and with p₁ = p₂ = 1 the identity. `channels` is required; `reduction` (16) is the
    number of channels per hidden unit between W₁ and W₂.

    Source: Ma et al. 2021, https://arxiv.org/abs/2009.04759; there β = sigmoid(…), and p₁, p₂ start at random
    """

    elementwise = False
    learned = {"p1": Learned(1.0), "p2": Learned(0.0)}
    fixed_points = {nn.SiLU: {"p1": 1.0, "p2": 0.0}, nn.Identity: {"p1": 1.0, "p2": 1.0}}
    onnx_ops = (
        *("ReduceMean", "Gemm", "Gemm", "Exp", "Add", "Reciprocal", "Reshape", "Mul"),
        *("Mul", "Sigmoid", "Mul", "Add", "Mul"),
    )

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        reduction: int = 16,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        count = require_channels(type(self), channels)
        self.reduction = reduction
        width = bottleneck_width(count, reduction)
        self.squeeze = nn.Linear(count, width, device=device, dtype=dtype)
        self.excite = ZeroLinear(width, count, device=device, dtype=dtype)

    def formula(self, x: Tensor, p1: Tensor, p2: Tensor) -> Tensor:
        seen = layout.pool(x, self.place).to(self.squeeze.weight.dtype)
        beta = layout.align(2 * torch.sigmoid(self.excite(self.squeeze(seen))), x, self.place)
        apart = p1 - p2
        return x * (apart * torch.sigmoid(beta * apart * x) + p2)

    def options(self) -> dict[str, Any]:
        return {"reduction": self.reduction}
