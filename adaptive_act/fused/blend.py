"""A weighted sum of plain activations."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.fused.blocks import Kernel, run
from adaptive_act.kernels import limit, times


def blend(
    x: Tensor, w_tanh: Tensor, w_elu: Tensor, w_relu: Tensor, w_identity: Tensor, w_silu: Tensor
) -> Tensor:
    """The sum of tanh, ELU, ReLU, the identity and SiLU of x, each with its weight."""
    return run(_Blend(), x, w_tanh, w_elu, w_relu, w_identity, w_silu)


class _Blend(Kernel):
    def plain(self, x: Tensor, *parameters: Tensor) -> Tensor:
        w_tanh, w_elu, w_relu, w_identity, w_silu = parameters
        curved = w_tanh * torch.tanh(x) + times(w_elu, F.elu(x)) + w_silu * F.silu(limit(x, w_silu))
        return curved + times(w_relu, torch.relu(x)) + times(w_identity, x)

    def make_kept(self, x: Tensor) -> list[Tensor]:
        # tanh and ELU, which take longer to compute again than to keep.
        return [torch.empty_like(x), torch.empty_like(x)]

    def write_value(self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], value: Tensor) -> None:
        w_tanh, w_elu, w_relu, w_identity, w_silu = numbers.tolist()
        tanh, elu = torch.tanh(x, out=kept[0]), kept[1].copy_(F.elu(x))
        torch.mul(tanh, w_tanh, out=value)
        for weight, function in ((w_elu, lambda _: elu), (w_silu, F.silu), (w_relu, torch.relu)):
            if weight:  # 0 · ∞ is no number
                value.add_(function(x), alpha=weight)
        if w_identity:
            value.add_(x, alpha=w_identity)

    def write_gradient(
        self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], gradient: Tensor, of_x: Tensor
    ) -> Tensor:
        w_tanh, w_elu, w_relu, w_identity, w_silu = numbers.tolist()
        tanh, elu = kept
        right = torch.ops.aten.threshold_backward(gradient, x, 0)
        torch.mul(gradient, w_identity, out=of_x).add_(right, alpha=w_relu)
        of_x.add_(torch.ops.aten.tanh_backward(gradient, tanh), alpha=w_tanh)
        of_x.add_(torch.ops.aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, elu), alpha=w_elu)
        if w_silu:  # torch's own gradient at infinities is no number
            of_x.add_(torch.ops.aten.silu_backward(gradient, x), alpha=w_silu)
        of_silu = gradient.dot(F.silu(x))
        return torch.stack([gradient.dot(tanh), gradient.dot(elu), right.dot(x), gradient.dot(x), of_silu])
