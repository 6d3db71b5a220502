"""Every activation by name: an explicit list, with a file for each family."""

from adaptive_act.activation import Activation
from adaptive_act.activations.blended import ABU, NEAAF, Affine, DynActivation
from adaptive_act.activations.exponential import MPELU, PELU, PREU, PSELU, PTELU, XIELU
from adaptive_act.activations.gated import (
    ACONC,
    AHAF,
    AdaptiveHardswish,
    APTx,
    BetaMish,
    ErfAct,
    Pserf,
    PSSiLU,
    ScaledGELU,
    ScaledMish,
    Swish,
)
from adaptive_act.activations.input_dependent import APReLU, Dice, DYReLU, Funnel, MetaACON
from adaptive_act.activations.periodic import PVLU, CosLU, Snake, SnakeBeta
from adaptive_act.activations.piecewise import APL, PACT, PLU, PWLU, MeLU, PiLU, SoftThreshold, SReLU
from adaptive_act.activations.polynomial import SLAF, HermitePolynomial
from adaptive_act.activations.rational import PAU
from adaptive_act.activations.rectified import AReLU, DPReLU, PReLU, RPReLU, ShiLU, StarReLU
from adaptive_act.activations.sigmoidal import LAAF, ErfReLU, ScaledSoftSign, Stan, TanhLU
from adaptive_act.activations.smooth import BLU, SMU, AdaptiveSoftplus, SquarePlus

__all__ = [
    "ABU",
    "ACONC",
    "AHAF",
    "APL",
    "BLU",
    "LAAF",
    "MPELU",
    "NEAAF",
    "PACT",
    "PAU",
    "PELU",
    "PLU",
    "PREU",
    "PSELU",
    "PTELU",
    "PVLU",
    "PWLU",
    "SLAF",
    "SMU",
    "XIELU",
    "APReLU",
    "APTx",
    "AReLU",
    "AdaptiveHardswish",
    "AdaptiveSoftplus",
    "Affine",
    "BetaMish",
    "CosLU",
    "DPReLU",
    "DYReLU",
    "Dice",
    "DynActivation",
    "ErfAct",
    "ErfReLU",
    "Funnel",
    "HermitePolynomial",
    "MeLU",
    "MetaACON",
    "PReLU",
    "PSSiLU",
    "PiLU",
    "Pserf",
    "RPReLU",
    "SReLU",
    "ScaledGELU",
    "ScaledMish",
    "ScaledSoftSign",
    "ShiLU",
    "Snake",
    "SnakeBeta",
    "SoftThreshold",
    "SquarePlus",
    "Stan",
    "StarReLU",
    "Swish",
    "TanhLU",
]

ACTIVATIONS: dict[str, type[Activation]] = {name: globals()[name] for name in __all__}
