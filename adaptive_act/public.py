"""What `adaptive_act` offers, under one name."""

from adaptive_act import activations
from adaptive_act.activation import Activation, named_activations
from adaptive_act.activations import *  # noqa: F403  # its list is part of ours
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.activations.catalogue import Entry, catalogue
from adaptive_act.checkpoint.checkpoint import Checkpoint, load, save
from adaptive_act.checkpoint.description import TensorSpec
from adaptive_act.checkpoint.factory import model_factory
from adaptive_act.errors import (
    AdaptiveActError,
    CheckpointError,
    DataError,
    DivergedError,
    ExplainError,
    FactoryError,
    FixedPointError,
    StudyError,
    SwapError,
)
from adaptive_act.learned import Learned
from adaptive_act.plain import QuickGELU
from adaptive_act.site import Site, Skipped
from adaptive_act.swapping.replace import swap
from adaptive_act.swapping.report import Report, Swapped
from adaptive_act.swapping.undo import freeze, unfreeze, unswap
from adaptive_act.training import parameter_groups

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "AdaptiveActError",
    "Checkpoint",
    "CheckpointError",
    "DataError",
    "DivergedError",
    "Entry",
    "ExplainError",
    "FactoryError",
    "FixedPointError",
    "Learned",
    "QuickGELU",
    "Report",
    "Site",
    "Skipped",
    "StudyError",
    "SwapError",
    "Swapped",
    "TensorSpec",
    "catalogue",
    "freeze",
    "load",
    "model_factory",
    "named_activations",
    "parameter_groups",
    "save",
    "swap",
    "unfreeze",
    "unswap",
]
__all__ += activations.__all__
