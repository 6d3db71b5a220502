"""One training run on scikit-learn's handwritten digits: a small perceptron, with or without a guard."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam, Optimizer

from adaptive_act import ABU, NEAAF, PAU, PELU, Activation, PReLU
from adaptive_act.errors import DivergedError
from adaptive_act.training import Guard, Options, parameter_groups
from examples.digits.data import Digits, read_digits

BATCH = 64
WIDTH = 32
MOMENTUM = 0.9

RATES = {"SGD": (0.01, 0.1, 0.5), "Adam": (0.001, 0.01, 0.1)}
"""A usual learning rate of each optimiser, a high one and one that is too high for some."""

ACTIVATIONS: dict[str, Callable[[], Activation]] = {
    "PReLU": PReLU,
    "PELU": PELU,
    "ABU": ABU,
    "PAU": PAU,
    "NEAAF": NEAAF,
    "NEAAF, both sides, γ = 1": lambda: NEAAF(side="both", gamma=1.0),
}


@dataclass(frozen=True, slots=True)
class Run:
    """How to train; gradients are clipped to `clip_norm` by torch alone, or by a guard."""

    optimizer: str
    lr: float
    activation: str
    seed: int
    epochs: int
    clip_norm: float | None = None
    is_guarded: bool = False
    activation_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """The share of right answers on the test digits, the guard's rollbacks, and whether the run was given up.

    A run is given up where its loss is not finite, or where the guard raised DivergedError.
    """

    accuracy: float
    rollbacks: int
    is_lost: bool


def train(run: Run) -> Result:
    """The result of one run, which follows from `run` alone; a lost one is scored as its model then is."""
    torch.set_num_threads(1)
    digits, test = _read_digits()
    model = _build(run)
    optimizer = _make_optimizer(run, model)
    guard = Guard(model, optimizer, options=Options(clip_norm=run.clip_norm)) if run.is_guarded else None
    step = _make_step(run, optimizer) if guard is None else guard.step
    order = torch.Generator().manual_seed(run.seed)
    try:
        losses = [_train_epoch(model, optimizer, step, digits, order) for _ in range(run.epochs)]
        is_lost = not math.isfinite(sum(losses))
    except DivergedError:
        is_lost = True
    events = [] if guard is None else guard.events
    rollbacks = sum(event.what == "rolled back" for event in events)
    return Result(_measure_accuracy(model, test), rollbacks, is_lost)


@cache
def _read_digits() -> tuple[Digits, Digits]:
    return read_digits()


def _build(run: Run) -> nn.Module:
    torch.manual_seed(run.seed)
    activation = ACTIVATIONS[run.activation]
    hidden = [layer for _ in range(2) for layer in (nn.Linear(WIDTH, WIDTH), activation())]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), activation(), *hidden, nn.Linear(WIDTH, 10))


def _make_optimizer(run: Run, model: nn.Module) -> Optimizer:
    groups = parameter_groups(model, run.lr, run.activation_factor * run.lr)
    return SGD(groups, momentum=MOMENTUM, fused=True) if run.optimizer == "SGD" else Adam(groups, fused=True)


def _make_step(run: Run, optimizer: Optimizer) -> Callable[[Tensor], bool]:
    """Clips, if asked for, and steps. The guard adds up the norm in the same order, so to the same bits."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def step(_: Tensor) -> bool:
        if run.clip_norm is not None:
            clip_grad_norm_(parameters, run.clip_norm)
        optimizer.step()
        return True

    return step


def _train_epoch(
    model: nn.Module,
    optimizer: Optimizer,
    step: Callable[[Tensor], bool],
    digits: Digits,
    order: torch.Generator,
) -> float:
    """The sum of the losses over all digits, in batches of a random order."""
    total = torch.zeros(())
    for chosen in torch.split(torch.randperm(len(digits.labels), generator=order), BATCH):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(digits.images[chosen]), digits.labels[chosen])
        torch.autograd.backward(loss)
        step(loss)
        total += loss.detach()
    return total.item()


def _measure_accuracy(model: nn.Module, digits: Digits) -> float:
    model.eval()
    with torch.inference_mode():
        accuracy: float = (model(digits.images).argmax(1) == digits.labels).double().mean().item()
    return accuracy
