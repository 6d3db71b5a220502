"""Parameter groups for an optimizer."""

from typing import Any

from torch import nn
from torch.optim import Optimizer

from adaptive_act.activation import named_activations

ACTIVATIONS = "activations"
"""The name of the group of learned parameters."""


def parameter_groups(
    model: nn.Module, lr: float, activation_lr: float | None = None, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Two optimiser groups, "weights" and "activations", that hold each parameter of `model` once.

    The activations' learned parameters have `activation_lr` (`lr` where it is None) and no weight decay,
    which would pull them towards zero instead of towards a useful shape (He et al. 2015,
    https://arxiv.org/abs/1502.01852, section 2.1). All else has `lr` and `weight_decay`, the weight matrices
    of the small networks inside input-dependent activations included.
    """
    learned = learned_parameters(model)
    chosen = {id(parameter) for parameter in learned.values()}
    weights = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    return [
        {"name": "weights", "params": weights, "lr": lr, "weight_decay": weight_decay},
        {
            "name": ACTIVATIONS,
            "params": list(learned.values()),
            "lr": lr if activation_lr is None else activation_lr,
            "weight_decay": 0.0,
        },
    ]


def learned_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that shape the activations of `model`, by name, each once: their 1-D ones."""
    learned: dict[int, tuple[str, nn.Parameter]] = {}
    for layer, activation in named_activations(model).items():
        for name, parameter in activation.named_parameters(prefix=layer):
            if parameter.ndim < 2:
                learned.setdefault(id(parameter), (name, parameter))
    return dict(learned.values())


def find_activation_groups(model: nn.Module, optimizer: Optimizer) -> list[int]:
    """The indices of the groups with learned parameters: those of that name, else all that hold any."""
    groups = optimizer.param_groups
    named = [index for index, group in enumerate(groups) if group.get("name") == ACTIVATIONS]
    if named:
        return named
    learned = {id(parameter) for parameter in learned_parameters(model).values()}
    return [index for index, group in enumerate(groups) if any(id(p) in learned for p in group["params"])]
