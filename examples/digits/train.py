"""Training and testing."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import parameter_groups
from examples.digits.data import Digits

BATCH = 64
RATE = 3e-3


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model after training, and the seconds that took."""

    model: nn.Module
    seconds: float


def train(
    model: nn.Module, data: Digits, epochs: int, seed: int, tick: Callable[[int], None]
) -> TrainedModel:
    """Trains `model` in place with AdamW and a cosine schedule; `tick` is called after each epoch."""
    begin = time.perf_counter()
    torch.manual_seed(seed)
    groups = parameter_groups(model, lr=RATE, weight_decay=0.01, optimizer=torch.optim.AdamW)
    optimiser = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    model.train()
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(data.labels)), BATCH):
            optimiser.zero_grad()
            logits = model(shift(data.images[chosen]))
            torch.autograd.backward(F.cross_entropy(logits, data.labels[chosen]))
            optimiser.step()
        schedule.step()
        tick(1)
    return TrainedModel(model.eval(), time.perf_counter() - begin)


def shift(images: Tensor) -> Tensor:
    """The images [n, 1, 8, 8], each moved by up to one pixel in each direction."""
    padded = F.pad(images, (1, 1, 1, 1))
    rows, columns = torch.randint(0, 3, (2, len(images))).tolist()
    windows = [padded[i, :, r : r + 8, c : c + 8] for i, (r, c) in enumerate(zip(rows, columns, strict=True))]
    return torch.stack(windows)


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """The logits [n, classes]."""
    with torch.inference_mode():
        logits: Tensor = model(images)
    return logits
