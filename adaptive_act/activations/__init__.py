"""Every activation, by name: an explicit list, one file each."""

from adaptive_act.activation import Activation
from adaptive_act.activations.abu import ABU
from adaptive_act.activations.affine import Affine
from adaptive_act.activations.mpelu import MPELU
from adaptive_act.activations.neaaf import NEAAF
from adaptive_act.activations.pelu import PELU
from adaptive_act.activations.prelu import PReLU
from adaptive_act.activations.scaled_gelu import ScaledGELU
from adaptive_act.activations.snake import Snake
from adaptive_act.activations.swish import Swish

ACTIVATIONS: dict[str, type[Activation]] = {
    activation.__name__: activation
    for activation in (
        ABU,
        Affine,
        MPELU,
        NEAAF,
        PELU,
        PReLU,
        ScaledGELU,
        Snake,
        Swish,
    )
}

__all__ = [
    "ABU",
    "ACTIVATIONS",
    "MPELU",
    "NEAAF",
    "PELU",
    "Affine",
    "PReLU",
    "ScaledGELU",
    "Snake",
    "Swish",
]
