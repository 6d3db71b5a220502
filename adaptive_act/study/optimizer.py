"""The optimizer of a run and the course of its learning rate."""

import functools
import math
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from adaptive_act.study.specs import Training
from adaptive_act.training import parameter_groups

OPTIMIZERS: dict[str, type[SGD | Adam]] = {"adamw": AdamW, "adam": Adam, "sgd": SGD}
MOMENTUM = 0.9
WARM_UP = 0.05
"""Share of the steps in which a cosine schedule rises to its rate."""


def make_optimizer(model: nn.Module, training: Training, lr: float) -> Optimizer:
    """The optimizer with the groups of `parameter_groups`, in the kernels that are fastest on a CPU."""
    kind = OPTIMIZERS[training.optimizer]
    groups = parameter_groups(model, lr, training.activation_lr, training.weight_decay, optimizer=kind)
    options: dict[str, Any] = {"momentum": MOMENTUM} if kind is SGD else {}
    return kind(groups, fused=True, **options)


def make_schedule(optimizer: Optimizer, training: Training, steps: int) -> LRScheduler:
    """The schedule to step after each of `steps` steps of the optimizer, whose rates it takes as the highest.

    `onecycle` rises by a cosine from a 25th of the rate during the first 30 % of the steps, then falls to
    nearly 0 (Smith and Topin 2017, https://arxiv.org/abs/1708.07120); `cosine` rises linearly during the
    first 5 %, then falls to 0 (Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983).
    """
    if training.schedule == "onecycle":
        rates: list[Any] = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=max(steps, 2), cycle_momentum=False)
    shape = _keep_constant if training.schedule == "constant" else functools.partial(_rise_and_fall, steps)
    return LambdaLR(optimizer, shape)


def _keep_constant(step: int) -> float:
    return 1.0


def _rise_and_fall(steps: int, step: int) -> float:
    """The share of the highest rate at a step: linear to 1, then half a cosine to 0 at `steps`."""
    rise = round(WARM_UP * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
