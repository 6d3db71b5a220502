"""The callbacks do under the Trainer of transformers what their parts do in a plain loop."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from adaptive_act.errors import DivergedError
from adaptive_act.training import CSVWriter, Freeze, GammaRamp, Options, Schedules, WarmUp, parameter_groups
from adaptive_act.training.transformers import (
    GuardCallback,
    MonitorCallback,
    ScheduleCallback,
    StoppingCallback,
)
from tests.adaptive_act.training.runs import network, same, state_of


class Sums(Dataset[dict[str, Tensor]]):
    """Four numbers and their sum."""

    def __init__(self, count: int = 64) -> None:
        self.x = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": self.x[index], "labels": self.x[index].sum()[None]}


class Model(nn.Module):
    """Learns a sum; meets NaN at the calls in `poisoned`."""

    def __init__(self, poisoned: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.network = network()
        self.poisoned = poisoned
        self.calls = 0

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        factor = math.nan if self.training and self.calls in self.poisoned else 1.0
        self.calls += self.training
        logits = self.network(x * factor)
        return {"loss": F.mse_loss(logits, labels), "logits": logits}


def run(folder: Path, model: nn.Module, callbacks: list[TrainerCallback], **options: Any) -> Trainer:
    quiet: dict[str, Any] = {"report_to": [], "disable_tqdm": True, "logging_strategy": "no"}
    defaults: dict[str, Any] = {"max_steps": 8, "save_strategy": "no", "per_device_train_batch_size": 8}
    settings = TrainingArguments(
        str(folder), use_cpu=True, dataloader_pin_memory=False, **quiet, **(defaults | options)
    )
    optimizer = torch.optim.AdamW(parameter_groups(model, lr=1e-2))
    return Trainer(
        model,
        settings,
        train_dataset=Sums(),
        eval_dataset=Sums(8),
        callbacks=callbacks,
        optimizers=(optimizer, None),
    )


def test_a_poisoned_step_is_rolled_back(tmp_path: Path) -> None:
    guard, model = GuardCallback(options=Options(keep_every=1)), Model(poisoned=(3,))
    run(tmp_path, model, [guard]).train()
    assert [(event.what, event.step, event.signal) for event in guard.part.events] == [
        ("rolled back", 4, "loss")
    ]
    assert guard.part.rate == 0.5
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert not model._forward_hooks
    assert not model.network[2]._forward_hooks


@pytest.mark.slow
def test_the_rolled_back_steps_are_as_if_they_had_not_been(tmp_path: Path) -> None:
    """States before the second and the fourth step are kept; after the fifth the older one is restored."""
    options = Options(keep_every=2, clip_norm=None)
    guard, model, short = GuardCallback(options=options), Model(poisoned=(4,)), Model()
    run(tmp_path, model, [guard], max_steps=5, lr_scheduler_type="constant").train()
    run(tmp_path, short, [], max_steps=1, lr_scheduler_type="constant").train()
    kept = dict(model.named_parameters())
    assert all(torch.equal(p, kept[name]) for name, p in short.named_parameters())


@pytest.mark.slow
def test_a_lost_run_ends_with_the_error(tmp_path: Path) -> None:
    guard, model = GuardCallback(tries=1), Model(poisoned=(2, 3, 4))
    with pytest.raises(DivergedError, match="after 1 rollbacks"):
        run(tmp_path, model, [guard]).train()
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert not model._forward_hooks
    assert not model.network[2]._forward_hooks


def test_without_a_loss_the_gradients_are_watched(tmp_path: Path) -> None:
    class Logits(Model):
        def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
            factor = math.nan if self.training and self.calls in self.poisoned else 1.0
            self.calls += self.training
            return {"logits": self.network(x * factor)}

    class OwnLoss(Trainer):
        def compute_loss(self, model: nn.Module, inputs: Any, *_: Any, **__: Any) -> Tensor:
            return F.mse_loss(model(**inputs)["logits"], inputs["labels"])

    guard, model = GuardCallback(), Logits(poisoned=(3,))
    settings = run(tmp_path, model, []).args
    OwnLoss(model, settings, train_dataset=Sums(), callbacks=[guard]).train()
    assert [event.signal for event in guard.part.events] == ["gradient norm"]
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


@pytest.mark.parametrize(("max_norm", "expected"), [(5.0, None), (0.0, 1.0)])
def test_the_guard_clips_unless_the_trainer_does(
    tmp_path: Path, max_norm: float, expected: float | None
) -> None:
    guard = GuardCallback()
    run(tmp_path, Model(), [guard], max_steps=1, max_grad_norm=max_norm).train()
    assert guard.part.options.clip_norm == expected


@pytest.mark.parametrize("bf16", [False, True])
def test_accumulated_gradients_are_one_step_for_all(tmp_path: Path, bf16: bool) -> None:
    guard = GuardCallback()
    schedules = ScheduleCallback(
        lambda model, optimizer: Schedules(Freeze(model, 2), WarmUp(model, optimizer, 4), GammaRamp(model, 3))
    )
    monitor = MonitorCallback([CSVWriter(tmp_path / "run.csv")], every=2)
    model = Model()
    callbacks: list[TrainerCallback] = [monitor, guard, schedules]
    run(tmp_path, model, callbacks, max_steps=4, gradient_accumulation_steps=2, bf16=bf16).train()
    assert model.calls == 8
    assert guard.part.steps == monitor.part.steps == 4
    assert [schedule.done for schedule in schedules.part.schedules] == [4, 4, 4]
    assert model.network[2].gamma == 0.1
    steps = {line.split(",")[0] for line in (tmp_path / "run.csv").read_text().splitlines()[1:]}
    assert steps == {"0", "2"}


class Scripted(Trainer):
    """Gives the metrics of a list, and notes the state at each evaluation."""

    def __init__(self, metrics: list[float], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.metrics = metrics
        self.seen: list[dict[str, Tensor]] = []

    def evaluation_loop(self, *args: Any, **options: Any) -> Any:
        output = super().evaluation_loop(*args, **options)
        assert output.metrics is not None
        assert isinstance(self.model, nn.Module)
        output.metrics["eval_loss"] = self.metrics[len(self.seen)]
        self.seen.append(state_of(self.model))
        return output


def test_early_stopping_restores_the_best(tmp_path: Path) -> None:
    stopping, model = StoppingCallback(patience=2), Model()
    settings = run(tmp_path, model, [], eval_strategy="steps", eval_steps=2, max_steps=20).args
    trainer = Scripted(
        [3.0, 1.0, 2.0, 2.0, 0.0],
        model,
        settings,
        train_dataset=Sums(),
        eval_dataset=Sums(8),
        callbacks=[stopping],
    )
    trainer.train()
    assert trainer.state.global_step == 8
    assert stopping.part.best == 1.0
    assert same(state_of(model), trainer.seen[1])


def test_a_metric_that_is_not_there_is_named(tmp_path: Path) -> None:
    trainer = run(tmp_path, Model(), [StoppingCallback("eval_f1")], eval_strategy="steps", eval_steps=2)
    with pytest.raises(
        KeyError, match=r"no metric `eval_f1` in the evaluation; there are \['epoch', 'eval_loss'"
    ):
        trainer.train()


@pytest.mark.slow
def test_a_resumed_run_knows_what_happened_before(tmp_path: Path) -> None:
    def callbacks() -> list[Any]:
        return [
            GuardCallback(),
            ScheduleCallback(lambda m, o: Schedules(WarmUp(m, o, 40))),
            StoppingCallback(patience=99),
        ]

    every = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "steps", "eval_steps": 4}
    first, again = callbacks(), callbacks()
    run(tmp_path, Model(poisoned=(1,)), first, max_steps=4, **every).train()
    resumed = run(tmp_path, Model(), again, max_steps=8, **every)
    resumed.train(resume_from_checkpoint=True)
    guard, schedules, stopping = (callback.part for callback in again)
    assert guard.steps == schedules.schedules[0].done == 8
    assert (guard.rate, len(guard.events)) == (0.5, 1)
    assert stopping.updates == 2
    assert stopping.best <= first[2].part.best


@pytest.mark.slow
def test_a_checkpoint_without_the_state_is_said_to_be_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = {"save_strategy": "steps", "save_steps": 4}
    run(tmp_path, Model(), [], max_steps=4, **saved).train()
    run(tmp_path, Model(), [GuardCallback()], max_steps=5).train(resume_from_checkpoint=True)
    assert "adaptact-GuardCallback.pt` to resume from: `GuardCallback` starts anew" in caplog.text
