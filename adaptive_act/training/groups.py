"""Parameter groups for an optimiser."""

from typing import Any

from torch import nn

from adaptive_act.activation import named_activations


def parameter_groups(
    model: nn.Module, lr: float, activation_lr: float | None = None, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Two optimiser groups, "weights" and "activations", that hold each parameter of `model` once.

    The activations' learned parameters have `activation_lr` (`lr` where it is None) and no weight decay,
    which would pull them towards zero instead of towards a useful shape (He et al. 2015,
    https://arxiv.org/abs/1502.01852, section 2.1). All else has `lr` and `weight_decay`.
    """
    learned = {id(p): p for a in named_activations(model).values() for p in a.parameters()}
    weights = [p for p in model.parameters() if id(p) not in learned]
    return [
        {"name": "weights", "params": weights, "lr": lr, "weight_decay": weight_decay},
        {
            "name": "activations",
            "params": list(learned.values()),
            "lr": lr if activation_lr is None else activation_lr,
            "weight_decay": 0.0,
        },
    ]
