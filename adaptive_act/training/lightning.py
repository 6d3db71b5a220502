"""The guard, schedules, the monitor and early stopping as callbacks of Lightning.

Only this module needs the package `lightning`. The callbacks' state is saved in Lightning's checkpoints and
restored by `Trainer.fit(..., ckpt_path=...)`. They are for automatic optimization with
one optimizer. Put a `MonitorCallback` before a `GuardCallback`, which clears unhealthy gradients.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from adaptive_act.training.callbacks import BuildSchedules, ResumableCallback, choose_options, take_sum
from adaptive_act.training.divergence import Options
from adaptive_act.training.guard import Guard
from adaptive_act.training.monitor import BOUND, Monitor, Writer
from adaptive_act.training.schedule import Schedules
from adaptive_act.training.stopping import EarlyStopping, Mode


class GuardCallback(ResumableCallback[Guard], Callback):
    """A `Guard` over `Trainer.fit`: gradients are clipped, and a run that diverges is rolled back.

    `callback.part` is the guard. Without `options` it clips unless the trainer does (`gradient_clip_val`).
    """

    def __init__(self, tries: int = 3, options: Options | None = None) -> None:
        super().__init__()
        self._tries, self._options = tries, options
        self._losses: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts to watch."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        optimizer = _require_one_optimizer(trainer)
        options = choose_options(self._options, clips_itself=bool(trainer.gradient_clip_val))
        self.start(Guard(pl_module, optimizer, tries=self._tries, options=options, scaler=scaler))

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Records the loss of a part of the step."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Lets the step happen, or clears its gradients; raises DivergedError after the last try."""
        self.part.check(take_sum(self._losses))  # none where `training_step` left the batch out

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Removes the hooks."""
        self.part.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Removes the hooks."""
        if self.is_started:
            self.part.close()


class ScheduleCallback(ResumableCallback[Schedules], Callback):
    """Schedules over `Trainer.fit`, which `build(model, optimizer)` makes when training starts."""

    def __init__(self, build: BuildSchedules) -> None:
        super().__init__()
        self._build = build
        self._counted = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Builds the schedules."""
        self.start(self._build(pl_module, _require_one_optimizer(trainer)))
        self._counted = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Counts a step where this batch ended one."""
        if trainer.global_step > self._counted:
            self._counted = trainer.global_step
            self.part.step()


class MonitorCallback(ResumableCallback[Monitor], Callback):
    """A `Monitor` over `Trainer.fit`; `callback.part` is the monitor."""

    def __init__(self, writers: Sequence[Writer] = (), every: int = 100, bound: float = BOUND) -> None:
        super().__init__()
        self._writers, self._every, self._bound = writers, every, bound

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts to read."""
        self.start(Monitor(pl_module, self._writers, every=self._every, bound=self._bound))

    def on_before_optimizer_step(self, *_: Any) -> None:
        """Reads the activations and their gradients, as they are before the step."""
        self.part.step()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Removes the hooks and closes the writers."""
        self.part.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Removes the hooks and closes the writers."""
        if self.is_started:
            self.part.close()


class StoppingCallback(ResumableCallback[EarlyStopping], Callback):
    """`EarlyStopping` on the logged `metric` after each validation; the end of training restores the best.

    Raises KeyError where the metric was not logged.
    """

    def __init__(self, metric: str, *, patience: int = 5, mode: Mode = "min", min_delta: float = 0.0) -> None:
        super().__init__()
        self._metric = metric
        self._build = partial(EarlyStopping, patience=patience, mode=mode, min_delta=min_delta)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts to compare."""
        self.start(self._build(pl_module))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the trainer where the metric no longer improves."""
        if trainer.sanity_checking or not self.is_started:
            return
        if self._metric not in trainer.callback_metrics:
            logged = sorted(trainer.callback_metrics)
            raise KeyError(f"no metric `{self._metric}` was logged; there are {logged}")
        if self.part.update(trainer.callback_metrics[self._metric]):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the best."""
        self.part.restore()


def _require_one_optimizer(trainer: Trainer) -> Optimizer:
    if len(trainer.optimizers) != 1:
        raise ValueError(f"expected one optimiser, `configure_optimizers` gave {len(trainer.optimizers)}")
    return trainer.optimizers[0]
