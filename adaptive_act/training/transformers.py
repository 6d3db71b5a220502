"""The guard, schedules, the monitor and early stopping as callbacks of the `Trainer` of transformers.

Only this module needs the package `transformers`. The callbacks' state is written beside each of the
trainer's checkpoints, and read by `Trainer.train(resume_from_checkpoint=True)`. A
`MonitorCallback` belongs before a `GuardCallback`, which clears unhealthy gradients.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.training_args import TrainingArguments

from adaptive_act.checkpoint.archive import read_archive, write_archive
from adaptive_act.errors import DivergedError
from adaptive_act.training.callbacks import (
    BuildSchedules,
    ResumableCallback,
    StatefulT,
    choose_options,
    take_sum,
)
from adaptive_act.training.divergence import Options
from adaptive_act.training.guard import Guard
from adaptive_act.training.hooks import ForwardHook
from adaptive_act.training.monitor import BOUND, Monitor, Writer
from adaptive_act.training.schedule import Schedules
from adaptive_act.training.stopping import EarlyStopping, Mode

logger = logging.getLogger(__name__)


class _CheckpointedCallback(ResumableCallback[StatefulT], TrainerCallback):
    """A callback whose state is saved beside the trainer's checkpoints."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Writes the state beside the checkpoint that was just saved."""
        if state.is_world_process_zero:
            write_archive(self.state_dict(), self._file(args, state))

    def _resume(self, args: TrainingArguments, state: TrainerState) -> None:
        """Loads the state of the checkpoint from which training resumes."""
        if state.global_step == 0:
            return
        file = self._file(args, state)
        if file.exists():
            self.load_state_dict(read_archive(file))
        else:
            logger.warning("no `%s` to resume from: `%s` starts anew", file, type(self).__name__)

    def _file(self, args: TrainingArguments, state: TrainerState) -> Path:
        folder = Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        return folder / f"adaptact-{type(self).__name__}.pt"


class GuardCallback(_CheckpointedCallback[Guard]):
    """A `Guard` over `Trainer.train`: gradients are clipped, and a run that diverges is rolled back.

    `callback.part` is the guard. The loss is what the model itself returns as `loss`. Without `options` the
    guard clips unless the trainer does (`max_grad_norm`, 1.0 unless set).
    """

    def __init__(self, tries: int = 3, options: Options | None = None) -> None:
        super().__init__()
        self._tries, self._options = tries, options
        self._losses: list[Tensor] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **trained: Any
    ) -> None:
        """Starts to watch."""
        model, wrapped = trained["model"], trained["optimizer"]
        self._resume(args, state)
        self._loss_hook = model.register_forward_hook(ForwardHook(reader=self._read_loss))
        scaler = getattr(wrapped, "scaler", None)
        options = choose_options(self._options, clips_itself=bool(args.max_grad_norm))
        self.start(Guard(model, _unwrap(wrapped), tries=self._tries, options=options, scaler=scaler))

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Lets the step happen, or clears its gradients; raises DivergedError after the last try."""
        try:
            self.part.check(take_sum(self._losses))
        except DivergedError:
            self._close()
            raise

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Removes the hooks."""
        self._close()

    def _close(self) -> None:
        self._loss_hook.remove()
        self.part.close()

    def _read_loss(self, _: str, __: tuple[Any, ...], output: Any) -> None:
        loss = output.get("loss") if isinstance(output, Mapping) else None
        if isinstance(loss, Tensor) and loss.requires_grad:
            self._losses.append(loss.detach())


class ScheduleCallback(_CheckpointedCallback[Schedules]):
    """Schedules over `Trainer.train`, which `build(model, optimizer)` makes when training starts."""

    def __init__(self, build: BuildSchedules) -> None:
        super().__init__()
        self._build = build

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **trained: Any
    ) -> None:
        """Builds the schedules."""
        self._resume(args, state)
        self.start(self._build(trained["model"], _unwrap(trained["optimizer"])))

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Counts a step."""
        self.part.step()


class MonitorCallback(_CheckpointedCallback[Monitor]):
    """A `Monitor` over `Trainer.train`; `callback.part` is the monitor."""

    def __init__(self, writers: Sequence[Writer] = (), every: int = 100, bound: float = BOUND) -> None:
        super().__init__()
        self._writers, self._every, self._bound = writers, every, bound

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **trained: Any
    ) -> None:
        """Starts to read."""
        self._resume(args, state)
        self.start(Monitor(trained["model"], self._writers, every=self._every, bound=self._bound))

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Reads the activations and their gradients, as they are before the step."""
        self.part.step()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Removes the hooks and closes the writers."""
        self.part.close()


class StoppingCallback(_CheckpointedCallback[EarlyStopping]):
    """`EarlyStopping` on `metric` of each evaluation; the end of training restores the best.

    Raises KeyError where an evaluation does not give the metric.
    """

    def __init__(
        self, metric: str = "eval_loss", *, patience: int = 5, mode: Mode = "min", min_delta: float = 0.0
    ) -> None:
        super().__init__()
        self._metric = metric
        self._build = partial(EarlyStopping, patience=patience, mode=mode, min_delta=min_delta)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **trained: Any
    ) -> None:
        """Starts to compare."""
        self._resume(args, state)
        self.start(self._build(trained["model"]))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **evaluated: Any
    ) -> None:
        """Stops the trainer where the metric no longer improves."""
        if not self.is_started:
            return
        if self._metric not in evaluated["metrics"]:
            raise KeyError(
                f"no metric `{self._metric}` in the evaluation; there are {sorted(evaluated['metrics'])}"
            )
        if self.part.update(evaluated["metrics"][self._metric]):
            control.should_training_stop = True

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Restores the best."""
        self.part.restore()


def _unwrap(optimizer: Any) -> Optimizer:
    """The optimiser that steps inside accelerate's wrapper."""
    inner: Optimizer = getattr(optimizer, "optimizer", optimizer)
    return inner
