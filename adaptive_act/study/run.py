"""One run: a network with one activation, trained at one rate with one seed, and tested once.

A trial is a run that chooses the rate: it is scored on the validation samples and never tested.
"""

import math
import time
from dataclasses import dataclass

import torch
from scipy.special import bdtrik
from torch import nn

from adaptive_act.errors import DataError
from adaptive_act.study.architectures import build_network
from adaptive_act.study.data import Dataset, load_dataset
from adaptive_act.study.parallel import use_one_thread
from adaptive_act.study.specs import RunSpec
from adaptive_act.study.train import Curves, Trained, score, train
from adaptive_act.study.variants import PlacedVariant, Variant, place_variant

BEYOND_CHANCE = 0.999
"""A run is beyond chance when guessing would be less accurate with this probability."""

_EXAMPLES = 64  # training samples on which a swap counts channels and compares outputs


@dataclass(frozen=True, slots=True)
class RunResult:
    """The results of one run. Equal specs give equal results."""

    variant: str
    seed: int
    score: float
    """On the test samples: accuracy, or R² where numbers are predicted."""
    loss: float
    """Cross-entropy, or mean squared error in the units of the data."""
    error: float
    """Expected calibration error, or mean absolute error in the units of the data."""
    diverged: str | None
    """How the run diverged; None where it did not."""
    rollbacks: int
    at_fixed_point: bool
    parameters: int
    parameters_added: int
    curves: Curves


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The validation scores of one variant at one rate with one seed. Equal specs give equal results."""

    variant: str
    seed: int
    lr: float
    score: float
    loss: float
    diverged: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a run, the seconds it trained, the trained model and the data it was trained on."""

    result: RunResult
    seconds: float
    model: nn.Module
    data: Dataset


def run(spec: RunSpec) -> Run:
    """The run that `spec` describes; its numbers depend only on the spec.

    Raises DataError where the data are no longer those that the spec was made for.
    """
    data = _load_data(spec)
    started = time.perf_counter()
    placed, trained = _train(spec, data)
    seconds = time.perf_counter() - started
    with use_one_thread():
        scores = score(placed.model, data.test)
    at_chance = None if scores.score > chance_bound(data) else _describe_chance(data)
    result = RunResult(
        variant=spec.variant,
        seed=spec.seed,
        score=scores.score,
        loss=scores.loss * data.target_std**2,
        error=scores.error * data.target_std,
        diverged=trained.diverged or at_chance,
        rollbacks=trained.rollbacks,
        at_fixed_point=placed.at_fixed_point,
        parameters=sum(p.numel() for p in placed.model.parameters()),
        parameters_added=placed.parameters_added,
        curves=trained.curves,
    )
    return Run(result, seconds, placed.model.eval(), data)


def run_trial(spec: RunSpec) -> TrialResult:
    """The validation scores of the run that `spec` describes; the test samples are not looked at.

    Raises DataError where the data are no longer those that the spec was made for.
    """
    data = _load_data(spec)
    placed, trained = _train(spec, data)
    with use_one_thread():
        scores = score(placed.model, data.validation)
    return TrialResult(spec.variant, spec.seed, spec.lr, scores.score, scores.loss, trained.diverged)


def build_untrained(spec: RunSpec, data: Dataset) -> PlacedVariant:
    """The network before training: its weights follow from the seed, and are the same for every variant."""
    variant = Variant.parse(spec.variant)
    activation = spec.baseline if variant.learns else str(variant)
    torch.manual_seed(spec.seed)
    model = build_network(spec.architecture, data.shape, data.outputs, spec.baseline, activation)
    return place_variant(model, spec.baseline, variant, data.train.x[:_EXAMPLES])


def chance_bound(data: Dataset) -> float:
    """The score up to which a run is no better than always naming one class, or the mean of the numbers."""
    if not data.classes:
        return data.chance
    return math.ceil(bdtrik(BEYOND_CHANCE, len(data.test), data.chance)) / len(data.test)


def _describe_chance(data: Dataset) -> str:
    return f"the accuracy is at chance ({data.chance:.1%})" if data.classes else "R² is not above 0"


def _load_data(spec: RunSpec) -> Dataset:
    data = load_dataset(spec.data)
    if data.digest != spec.data_digest:
        raise DataError(
            f"`{spec.data.source}` has changed: expected samples with digest {spec.data_digest[:12]}, got "
            f"{data.digest[:12]}"
        )
    return data


def _train(spec: RunSpec, data: Dataset) -> tuple[PlacedVariant, Trained]:
    with use_one_thread(), torch.random.fork_rng(devices=[]):
        placed = build_untrained(spec, data)
        return placed, train(placed.model, data, spec.training, spec.lr, spec.seed)
