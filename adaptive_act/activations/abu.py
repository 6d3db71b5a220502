"""ABU, the adaptive blending unit."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned

_NOWHERE = {"w_tanh": 0.0, "w_elu": 0.0, "w_relu": 0.0, "w_identity": 0.0, "w_silu": 0.0}


class ABU(Activation):
    """Σ wᵢ · fᵢ(x) over tanh, ELU, ReLU, identity and SiLU: a blend whose weights are learned.

    Each weight is unbounded and starts at 1/5. With one weight at 1 and the others at 0 it equals that
    member, and every weight still receives its gradient.

    Source: Sütfeld et al. 2018, https://arxiv.org/abs/1806.10064 (the unrestricted variant)
    """

    learned = {name: Learned(0.2) for name in _NOWHERE}
    fixed_points = {
        nn.Tanh: _NOWHERE | {"w_tanh": 1.0},
        nn.ELU: _NOWHERE | {"w_elu": 1.0},
        nn.ReLU: _NOWHERE | {"w_relu": 1.0},
        nn.Identity: _NOWHERE | {"w_identity": 1.0},
        nn.SiLU: _NOWHERE | {"w_silu": 1.0},
    }
    onnx_ops = (
        *("Tanh", "Elu", "Sigmoid", "Relu", "Mul", "Add", "Mul"),
        *("Mul", "Add", "Mul", "Add", "Mul", "Add"),
    )

    def formula(
        self, x: Tensor, w_tanh: Tensor, w_elu: Tensor, w_relu: Tensor, w_identity: Tensor, w_silu: Tensor
    ) -> Tensor:
        curved = w_tanh * torch.tanh(x) + w_elu * F.elu(x) + w_silu * F.silu(x)
        return curved + w_relu * torch.relu(x) + w_identity * x
