"""Parameter groups for an optimizer."""

import math
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.optim import Adam, Adamax, NAdam, Optimizer, RAdam

from adaptive_act.activation import named_activations

ACTIVATIONS = "activations"
"""The name of the group of learned parameters."""

NORMALISING: tuple[type[Optimizer], ...] = (Adam, NAdam, RAdam, Adamax)
"""Optimisers, AdamW included, whose step is at most about as long as the rate, however large the gradient."""
FASTER = 10
"""How many times as fast as weights activations learn with these, up to `FASTEST_NORMALISED`."""
FASTEST_NORMALISED = 0.03
FASTEST = 0.01
"""The highest rate with other optimisers, whose steps grow with the gradient: each acts on a whole layer."""


def parameter_groups(
    model: nn.Module,
    lr: float,
    activation_lr: float | None = None,
    weight_decay: float = 0.0,
    *,
    optimizer: type[Optimizer] | None = None,
) -> list[dict[str, Any]]:
    """The optimiser groups "weights", "biases" and "activations", which hold each parameter of `model` once.

    Only the weights decay: the matrices and filters of layers, embeddings, and those of the small networks
    inside input-dependent activations. Biases and the scales of norms do not ("biases"), by convention (He et
    al. 2019, https://arxiv.org/abs/1812.01187, section 3.1), nor do the learned parameters of activations,
    which decay would pull towards zero instead of towards a useful shape (He et al. 2015,
    https://arxiv.org/abs/1502.01852, section 2.1).

    The activations have `activation_lr`, all others `lr`. Where `activation_lr` is None, it is what is safe
    with the class `optimizer`: with Adam and its kin ten times `lr`, up to 0.03 and at least `lr`; with SGD
    and any other `lr`, up to 0.01; `lr` where no class is given.

    Raises ValueError for a rate or a decay that is below 0 or not finite, which torch takes in a group.
    """
    given = {"lr": lr, "activation_lr": activation_lr, "weight_decay": weight_decay}
    for name, number in given.items():
        if number is not None and not 0 <= number < math.inf:
            raise ValueError(f"expected `{name}` of at least 0, got {number}")
    learned = learned_parameters(model)
    grouped = {id(parameter) for parameter in learned.values()}
    exempt = {id(p): p for p in _find_biases_and_norms(model) if id(p) not in grouped}
    grouped |= exempt.keys()
    weights = [parameter for parameter in model.parameters() if id(parameter) not in grouped]
    shape_rate = _choose_rate(lr, optimizer) if activation_lr is None else activation_lr
    return [
        {"name": "weights", "params": weights, "lr": lr, "weight_decay": weight_decay},
        {"name": "biases", "params": list(exempt.values()), "lr": lr, "weight_decay": 0.0},
        {"name": ACTIVATIONS, "params": list(learned.values()), "lr": shape_rate, "weight_decay": 0.0},
    ]


def _choose_rate(lr: float, optimizer: type[Optimizer] | None) -> float:
    if optimizer is None:
        return lr
    if issubclass(optimizer, NORMALISING):
        return max(lr, min(FASTER * lr, FASTEST_NORMALISED))
    return min(lr, FASTEST)


def _find_biases_and_norms(model: nn.Module) -> Iterator[nn.Parameter]:
    """Vectors, biases of any shape, and what norms over several dimensions scale and shift by."""
    for module in model.modules():
        is_norm = isinstance(module, nn.LayerNorm | nn.RMSNorm)
        for name, parameter in module.named_parameters(recurse=False):
            if is_norm or name.endswith("bias") or parameter.ndim < 2:
                yield parameter


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
