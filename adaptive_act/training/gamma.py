"""NEAAF's γ: a fixed number to the optimiser, which a schedule may move."""

from dataclasses import replace

from torch import nn

from adaptive_act.activation import named_activations
from adaptive_act.activations.neaaf import NEAAF


def cubic_activations(model: nn.Module) -> dict[str, NEAAF]:
    """The activations of `model` that have a γ, by layer name."""
    return {name: one for name, one in named_activations(model).items() if isinstance(one, NEAAF)}


def set_gamma(activation: NEAAF, gamma: float) -> None:
    """Gives the activation another γ, in its record as well, so that a checkpoint holds the one in force."""
    activation.gamma = gamma
    if activation.site is not None:
        activation.site = replace(activation.site, options=activation.options())
