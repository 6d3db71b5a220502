"""Activations that learn their shape: swapped into a trained model, trained, saved and shown."""

from adaptive_act.activation import Activation, Learned, named_activations
from adaptive_act.activations import (
    ABU,
    ACTIVATIONS,
    MPELU,
    NEAAF,
    PELU,
    Affine,
    PReLU,
    ScaledGELU,
    Snake,
    Swish,
)
from adaptive_act.checkpoint import Checkpoint, load, save
from adaptive_act.errors import AdaptiveActError, CheckpointError, FactoryError, FixedPointError, SwapError
from adaptive_act.factory import model_factory
from adaptive_act.site import Site, Skipped
from adaptive_act.spec import TensorSpec
from adaptive_act.swap import Report, Swapped, swap
from adaptive_act.training import parameter_groups

__all__ = [
    "ABU",
    "ACTIVATIONS",
    "MPELU",
    "NEAAF",
    "PELU",
    "Activation",
    "AdaptiveActError",
    "Affine",
    "Checkpoint",
    "CheckpointError",
    "FactoryError",
    "FixedPointError",
    "Learned",
    "PReLU",
    "Report",
    "ScaledGELU",
    "Site",
    "Skipped",
    "Snake",
    "SwapError",
    "Swapped",
    "Swish",
    "TensorSpec",
    "load",
    "model_factory",
    "named_activations",
    "parameter_groups",
    "save",
    "swap",
]
