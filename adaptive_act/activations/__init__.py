"""Every activation by name: an explicit list, with a file for each family."""

from adaptive_act.activation import Activation
from adaptive_act.activations.blended import ABU, Affine, DynActivation, NEAAF
from adaptive_act.activations.exponential import MPELU, PELU, PREU, PSELU, PTELU, XIELU
from adaptive_act.activations.gated import ACONC, AHAF, APTx, AdaptiveHardswish, BetaMish, ErfAct, PSSiLU, Pserf, ScaledGELU, Swish
from adaptive_act.activations.input_dependent import APReLU, DYReLU, Dice, Funnel, MetaACON
from adaptive_act.activations.periodic import CosLU, PVLU, Snake, SnakeBeta
from adaptive_act.activations.piecewise import APL, MeLU, PACT, PLU, PWLU, PiLU, SReLU, SoftThreshold
from adaptive_act.activations.polynomial import HermitePolynomial, SLAF
from adaptive_act.activations.rational import PAU
from adaptive_act.activations.rectified import AReLU, DPReLU, PReLU, RPReLU, ShiLU, StarReLU
from adaptive_act.activations.sigmoidal import ErfReLU, LAAF, ScaledSoftSign, Stan, TanhLU
from adaptive_act.activations.smooth import AdaptiveSoftplus, BLU, SMU, SquarePlus

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
