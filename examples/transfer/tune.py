"""Fine-tuning that keeps what was learned before: the recipe."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.training import (
    EarlyStopping,
    Freeze,
    Guard,
    Pull,
    Schedules,
    WarmUp,
    parameter_groups,
)
from examples.digits.data import Digits
from examples.digits.train import predict
from examples.transfer.data import Tasks

RATE = 1e-3
BATCH = 16
PATIENCE = 15  # epochs
PULL = 1e-2


@dataclass(frozen=True, slots=True)
class TunedModel:
    """How a fine-tuned model does on the test digits, how long it was tuned, and how often rolled back."""

    accuracy: float
    epochs: int
    rollbacks: int


def fine_tune(model: nn.Module, data: Tasks, epochs: int, seed: int) -> TunedModel:
    """Tunes `model` in place until held-out digits no longer gain.

    The new head trains alone first, as far as the activations are concerned: they are frozen for a tenth of
    the steps, warmed up over the next tenth, and pulled towards the shape that the known classes were learned
    with. A model without learned parameters gets the same, on which those parts do not act.
    """
    torch.manual_seed(seed)
    groups = parameter_groups(model, RATE, weight_decay=0.01, optimizer=torch.optim.AdamW)
    optimizer = torch.optim.AdamW(groups)
    tenth = max(epochs * -(-len(data.tune.labels) // BATCH) // 10, 1)
    guard, stopping = Guard(model, optimizer), EarlyStopping(model, patience=PATIENCE)
    schedules = Schedules(Freeze(model, tenth), WarmUp(model, optimizer, 2 * tenth, hold=tenth))
    pull = Pull(model, PULL)
    for _ in range(epochs):
        model.train()
        for images, labels in _batches(data.tune):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels) + pull()
            torch.autograd.backward(loss)
            guard.step(loss)
            schedules.step()
        if stopping.update(_measure_loss(model.eval(), data.held_out)):
            break
    stopping.restore()
    guard.close()
    return TunedModel(_measure_accuracy(model.eval(), data.test), stopping.updates, guard.rollbacks)


def _batches(data: Digits) -> Iterator[tuple[Tensor, Tensor]]:
    for chosen in torch.split(torch.randperm(len(data.labels)), BATCH):
        yield data.images[chosen], data.labels[chosen]


def _measure_loss(model: nn.Module, data: Digits) -> float:
    return F.cross_entropy(predict(model, data.images), data.labels).item()


def _measure_accuracy(model: nn.Module, data: Digits) -> float:
    return (predict(model, data.images).argmax(1) == data.labels).double().mean().item()
