"""Training and testing of one model, with the same steps for every variant."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptive_act.errors import DivergedError
from adaptive_act.study.data import Dataset, LabelledTensors
from adaptive_act.study.optimizer import make_optimizer, make_schedule
from adaptive_act.study.own_code import run_own_loop
from adaptive_act.study.specs import Training
from adaptive_act.study.task import Scores
from adaptive_act.training import EarlyStopping, Guard

_AT_ONCE = 2000  # samples of one forward pass where nothing is learned

Step = Callable[[Tensor], bool]


@dataclass(slots=True)
class Curves:
    """The losses and the score after each epoch; a loss that is not finite is NaN."""

    training_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trained:
    """The course of training; `diverged` is why it ended early, or None."""

    curves: Curves
    diverged: str | None
    rollbacks: int


def train(model: nn.Module, data: Dataset, training: Training, lr: float, seed: int) -> Trained:
    """Trains `model` in place at the rate `lr`.

    The batches follow from `seed` alone, so that every variant meets the same. A run whose loss is not finite
    ends with that epoch. With a patience, the model is left as it was in the epoch with the least validation
    loss. A loop of the user's own decides all this itself.
    """
    torch.manual_seed(seed)
    curves = Curves()
    if training.loop is not None:
        on_epoch = functools.partial(_record_epoch, curves, model, data)
        return Trained(curves, run_own_loop(model, data, training, lr, seed, on_epoch), 0)
    order = torch.Generator().manual_seed(seed)
    optimizer = make_optimizer(model, training, lr)
    stopping = None if training.patience is None else EarlyStopping(model, patience=training.patience)
    with _make_step(model, optimizer, training) as (step, guard):
        learn = _make_epoch(model, data.train, training, optimizer, step)
        diverged = _run_epochs(learn, model, data, order, (training.epochs, curves, stopping))
    if stopping is not None:
        stopping.restore()
    return Trained(curves, diverged, 0 if guard is None else _count_rollbacks(guard))


def score(model: nn.Module, samples: LabelledTensors) -> Scores:
    """The model's scores in evaluation mode."""
    return samples.task.measure(predict(model, samples.x), samples.labels)


def predict(model: nn.Module, x: Tensor) -> Tensor:
    """The logits [n, classes], or the numbers [n, 1], in evaluation mode, wherever the weights are."""
    model.eval()
    device = next(model.parameters(), x).device
    with torch.inference_mode():
        return torch.cat([model(part.to(device)).cpu() for part in torch.split(x, _AT_ONCE)])


@contextlib.contextmanager
def _make_step(
    model: nn.Module, optimizer: Optimizer, training: Training
) -> Iterator[tuple[Step, Guard | None]]:
    """How the optimizer steps: always, or while a guard finds the run healthy."""
    if training.guard_tries is None:
        yield lambda _: optimizer.step() is None, None
        return
    with Guard(model, optimizer, tries=training.guard_tries) as guard:
        yield guard.step, guard


def _count_rollbacks(guard: Guard) -> int:
    """How often it restored a state; `guard.rollbacks` no longer counts those that it found mistaken."""
    return sum(event.what == "rolled back" for event in guard.events)


def _make_epoch(
    model: nn.Module, samples: LabelledTensors, training: Training, optimizer: Optimizer, step: Step
) -> Callable[[Tensor], float]:
    """A function that trains for one epoch in the order given, and gives the mean loss."""
    batch = min(training.batch, len(samples))
    steps = len(samples) // batch
    schedule = make_schedule(optimizer, training, steps * training.epochs)

    def learn(order: Tensor) -> float:
        model.train()
        total = torch.zeros(())
        # The last, smaller batch is left out: its few samples would weigh more than others.
        for chosen in torch.split(order[: steps * batch], batch):
            optimizer.zero_grad()
            loss = samples.task.compute_loss(model(samples.x[chosen]), samples.labels[chosen])
            torch.autograd.backward(loss)
            step(loss)
            total += loss.detach()
            schedule.step()
        return float(total) / steps

    return learn


def _run_epochs(
    learn: Callable[[Tensor], float],
    model: nn.Module,
    data: Dataset,
    order: torch.Generator,
    course: tuple[int, Curves, EarlyStopping | None],
) -> str | None:
    """Trains to the end, or until the run diverged, and says how it did; fills the curves."""
    epochs, curves, stopping = course
    for epoch in range(1, epochs + 1):
        try:
            loss = learn(torch.randperm(len(data.train), generator=order))
        except DivergedError as error:
            return f"stopped by the guard in epoch {epoch}: {error}"
        validation_loss = _record_epoch(curves, model, data, loss)
        if not math.isfinite(loss):
            return f"the loss was not finite in epoch {epoch}"
        if stopping is not None and stopping.update(validation_loss):
            return None
    return None


def _record_epoch(curves: Curves, model: nn.Module, data: Dataset, loss: float | Tensor) -> float:
    """The validation loss, appended to the curves with the score and the training loss."""
    is_training = model.training
    validation = score(model, data.validation)
    model.train(is_training)
    curves.training_loss.append(float(loss.detach() if isinstance(loss, Tensor) else loss))
    curves.validation_loss.append(validation.loss)
    curves.validation_score.append(validation.score)
    return validation.loss
