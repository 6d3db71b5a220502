"""The callbacks do under Lightning what their parts do in a plain loop."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from adaptive_act.errors import DivergedError
from adaptive_act.training import CSVWriter, Freeze, GammaRamp, Options, Schedules, WarmUp, parameter_groups
from adaptive_act.training.lightning import GuardCallback, MonitorCallback, ScheduleCallback, StoppingCallback
from tests.adaptive_act.training.runs import network, same, state_of

pytestmark = [
    # What Lightning itself says of a small run on a machine with other means.
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings("ignore:`training_step` returned `None`"),
]


class Model(LightningModule):
    """Learns a sum; meets NaN at the steps of the first epoch in `poisoned`."""

    def __init__(self, poisoned: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.network = network()
        self.poisoned = poisoned

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        x, y = batch
        factor = math.nan if index in self.poisoned and self.trainer.current_epoch == 0 else 1.0
        return F.mse_loss(self.network(x * factor), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameter_groups(self, lr=1e-2))


class Validated(Model):
    """Logs the next of `metrics` after each epoch, and notes its state then."""

    def __init__(self, *metrics: float) -> None:
        super().__init__()
        self.metrics = metrics
        self.seen: list[dict[str, Tensor]] = []

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.seen.append(state_of(self.network))
        self.log("held_out", self.metrics[self.trainer.current_epoch])


def loader() -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8 * 16, 4, generator=generator)
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16)


def trainer(folder: Path, callbacks: list[Callback], **options: Any) -> Trainer:
    options = {"max_epochs": 1, "enable_checkpointing": False} | options
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", default_root_dir=folder, callbacks=callbacks, **quiet, **options)


def test_a_poisoned_step_is_rolled_back(tmp_path: Path) -> None:
    guard, model = GuardCallback(options=Options(keep_every=1)), Model(poisoned=(3,))
    trainer(tmp_path, [guard]).fit(model, loader())
    assert [(event.what, event.step) for event in guard.part.events] == [("rolled back", 4)]
    assert guard.part.rate == 0.5
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert not model.network[2]._forward_hooks


def test_the_rolled_back_step_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    """States before the second and the fourth step are kept; after the fifth the older one is restored."""
    options = Options(keep_every=2, clip_norm=None)
    guard, model, short = GuardCallback(options=options), Model(poisoned=(4,)), Model()
    trainer(tmp_path, [guard], limit_train_batches=5).fit(model, loader())
    trainer(tmp_path, [], limit_train_batches=1).fit(short, loader())
    learned = {name: p for name, p in model.named_parameters()}
    assert all(torch.equal(p, learned[name]) for name, p in short.named_parameters())


def test_a_lost_run_ends_with_the_error(tmp_path: Path) -> None:
    guard, model = GuardCallback(tries=1), Model(poisoned=(2, 3, 4))
    with pytest.raises(DivergedError, match="after 1 rollbacks"):
        trainer(tmp_path, [guard]).fit(model, loader())
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert not model.network[2]._forward_hooks


def test_a_batch_that_is_left_out_counts_as_no_loss(tmp_path: Path) -> None:
    class Choosy(Model):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor | None:  # type: ignore[override]
            return None if index == 1 else super().training_step(batch, index)

    guard = GuardCallback()
    trainer(tmp_path, [guard], limit_train_batches=3).fit(Choosy(), loader())
    assert (guard.part.steps, guard.part.events) == (3, [])


@pytest.mark.parametrize(
    ("options", "trainers", "expected"),
    [(None, None, 1.0), (None, 5.0, None), (Options(clip_norm=2.0), 5.0, 2.0)],
    ids=["guard", "trainer", "both"],
)
def test_the_guard_clips_unless_the_trainer_does(
    tmp_path: Path, options: Options | None, trainers: float | None, expected: float | None
) -> None:
    guard = GuardCallback(options=options)
    trainer(tmp_path, [guard], limit_train_batches=1, gradient_clip_val=trainers).fit(Model(), loader())
    assert guard.part.options.clip_norm == expected


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_accumulated_gradients_are_one_step_for_all(tmp_path: Path, precision: str) -> None:
    guard = GuardCallback()
    schedules = ScheduleCallback(
        lambda model, optimizer: Schedules(Freeze(model, 2), WarmUp(model, optimizer, 4), GammaRamp(model, 3))
    )
    monitor = MonitorCallback([CSVWriter(tmp_path / "run.csv")], every=2)
    callbacks: list[Callback] = [monitor, guard, schedules]
    model = Model()
    trainer(tmp_path, callbacks, accumulate_grad_batches=2, precision=precision).fit(model, loader())
    assert guard.part.steps == monitor.part.steps == 4
    assert [schedule.done for schedule in schedules.part.schedules] == [4, 4, 4]
    assert model.network[2].gamma == 0.1
    steps = {line.split(",")[0] for line in (tmp_path / "run.csv").read_text().splitlines()[1:]}
    assert steps == {"0", "2"}


def test_early_stopping_restores_the_best(tmp_path: Path) -> None:
    stopping, model = StoppingCallback("held_out", patience=2), Validated(3.0, 1.0, 2.0, 2.0, 0.0)
    run = trainer(tmp_path, [stopping], max_epochs=5, limit_val_batches=1, num_sanity_val_steps=0)
    run.fit(model, loader(), loader())
    assert run.current_epoch == 4
    assert len(model.seen) == 4
    assert same(state_of(model.network), model.seen[1])


def test_a_metric_that_is_not_logged_is_named(tmp_path: Path) -> None:
    run = trainer(tmp_path, [StoppingCallback("acc")], limit_val_batches=1)
    with pytest.raises(KeyError, match="no metric `acc` was logged; there are \\['held_out'\\]"):
        run.fit(Validated(1.0), loader(), loader())


def test_a_resumed_run_knows_what_happened_before(tmp_path: Path) -> None:
    def callbacks() -> list[Any]:
        return [GuardCallback(), ScheduleCallback(lambda m, o: Schedules(WarmUp(m, o, 40)))]

    first, again = callbacks(), callbacks()
    run = trainer(tmp_path, first)
    run.fit(Model(poisoned=(3,)), loader())
    run.save_checkpoint(tmp_path / "run.ckpt")
    resumed = trainer(tmp_path, again, max_epochs=2)
    resumed.fit(Model(), loader(), ckpt_path=str(tmp_path / "run.ckpt"))
    assert again[0].part.steps == 16
    assert [str(event) for event in again[0].part.events] == [str(event) for event in first[0].part.events]
    assert again[0].part.rate == 0.5
    assert again[1].part.schedules[0].done == 16


def test_before_training_there_is_nothing_to_show() -> None:
    with pytest.raises(RuntimeError, match="`GuardCallback` has nothing to show before training starts"):
        _ = GuardCallback().part


def test_two_optimizers_are_refused(tmp_path: Path) -> None:
    class Two(Model):
        automatic_optimization = False

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.network[index].parameters(), lr=0.1) for index in (0, 3)]

    with pytest.raises(ValueError, match="expected one optimiser, `configure_optimizers` gave 2"):
        trainer(tmp_path, [GuardCallback()]).fit(Two(), loader())
