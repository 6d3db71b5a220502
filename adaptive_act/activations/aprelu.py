"""APReLU, the adaptively parametric ReLU."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned, Start
from adaptive_act.kernels import negative_part
from adaptive_act.pooling import Norm, counted, pooled, spread


class APReLU(Activation):
    """max(0, x) + (a + σ(z) − 1/2) · min(0, x): PReLU, whose slope each sample sets for each of its channels.

    a is the slope left of zero that all samples share, without bounds; it starts at 0.25. A small network
    adds up to 1/2 either way, from the means m of max(0, x) and of min(0, x) in every channel:
    z = N₂(W₂ · relu(N₁(W₁m))), where N₁ and N₂ are batch normalisations. The scale of N₂ starts at zero, so
    z too, where it equals PReLU: ReLU, LeakyReLU, torch's PReLU and the identity are among its fixed points.
    `channels` is required. A training batch with one number a channel takes the running statistics.

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
        *("Relu", "Min", "ReduceMean", "ReduceMean", "Concat", "Gemm", "Relu", "Gemm", "Reshape"),
        *("Mul", "Tanh", "Mul", "Add", "Mul", "Add"),
    )

    def __init__(self, channels: int | None = None, channel_axis: int = 1, **values: Start) -> None:
        super().__init__(channels, channel_axis, **values)
        count = counted(type(self), channels)
        self.squeeze = nn.Linear(2 * count, count, bias=False)
        self.squeeze_norm = Norm(count)
        self.excite = nn.Linear(count, count, bias=False)
        self.excite_norm = Norm(count)
        nn.init.zeros_(self.excite_norm.weight)

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        sides = (torch.relu(x), negative_part(x))
        seen = torch.cat([pooled(side, self) for side in sides], dim=1).to(self.squeeze.weight.dtype)
        hidden = torch.relu(self.squeeze_norm(self.squeeze(seen)))
        z = spread(self.excite_norm(self.excite(hidden)), x, self)
        return sides[0] + (a + torch.tanh(z / 2) / 2) * sides[1]
