"""Every activation, by name: an explicit list, one file each."""

from adaptive_act.activation import Activation
from adaptive_act.activations.abu import ABU
from adaptive_act.activations.aconc import ACONC
from adaptive_act.activations.adaptive_hardswish import AdaptiveHardswish
from adaptive_act.activations.adaptive_softplus import AdaptiveSoftplus
from adaptive_act.activations.affine import Affine
from adaptive_act.activations.ahaf import AHAF
from adaptive_act.activations.apl import APL
from adaptive_act.activations.aprelu import APReLU
from adaptive_act.activations.aptx import APTx
from adaptive_act.activations.arelu import AReLU
from adaptive_act.activations.beta_mish import BetaMish
from adaptive_act.activations.blu import BLU
from adaptive_act.activations.cos_lu import CosLU
from adaptive_act.activations.dice import Dice
from adaptive_act.activations.dprelu import DPReLU
from adaptive_act.activations.dyn_activation import DynActivation
from adaptive_act.activations.dyrelu import DYReLU
from adaptive_act.activations.erf_act import ErfAct
from adaptive_act.activations.erf_relu import ErfReLU
from adaptive_act.activations.funnel import Funnel
from adaptive_act.activations.hermite_polynomial import HermitePolynomial
from adaptive_act.activations.laaf import LAAF
from adaptive_act.activations.melu import MeLU
from adaptive_act.activations.meta_acon import MetaACON
from adaptive_act.activations.mpelu import MPELU
from adaptive_act.activations.neaaf import NEAAF
from adaptive_act.activations.pact import PACT
from adaptive_act.activations.pau import PAU
from adaptive_act.activations.pelu import PELU
from adaptive_act.activations.pilu import PiLU
from adaptive_act.activations.plu import PLU
from adaptive_act.activations.prelu import PReLU
from adaptive_act.activations.preu import PREU
from adaptive_act.activations.pselu import PSELU
from adaptive_act.activations.pserf import Pserf
from adaptive_act.activations.pssilu import PSSiLU
from adaptive_act.activations.ptelu import PTELU
from adaptive_act.activations.pvlu import PVLU
from adaptive_act.activations.pwlu import PWLU
from adaptive_act.activations.rprelu import RPReLU
from adaptive_act.activations.scaled_gelu import ScaledGELU
from adaptive_act.activations.scaled_soft_sign import ScaledSoftSign
from adaptive_act.activations.shilu import ShiLU
from adaptive_act.activations.slaf import SLAF
from adaptive_act.activations.smu import SMU
from adaptive_act.activations.snake import Snake
from adaptive_act.activations.snake_beta import SnakeBeta
from adaptive_act.activations.soft_threshold import SoftThreshold
from adaptive_act.activations.square_plus import SquarePlus
from adaptive_act.activations.srelu import SReLU
from adaptive_act.activations.stan import Stan
from adaptive_act.activations.star_relu import StarReLU
from adaptive_act.activations.swish import Swish
from adaptive_act.activations.tanh_lu import TanhLU
from adaptive_act.activations.xielu import XIELU

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
