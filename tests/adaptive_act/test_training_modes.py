"""Every activation in the ways in which models are trained: mixed precision, checkpointing, DDP, export."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from adaptive_act import ACTIVATIONS, Activation, parameter_groups
from tests.adaptive_act.processes import in_two_processes

CHANNELS = 4
SHAPE = (3, CHANNELS, 6, 6)

every_activation = pytest.mark.parametrize("kind", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())


def model_of(kind: type[Activation]) -> nn.Sequential:
    """A convolution before and after the activation, which learns per channel."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, CHANNELS, 3), kind(CHANNELS), nn.Conv2d(CHANNELS, 2, 3))


def images() -> Tensor:
    return torch.randn(5, 2, 9, 9, generator=torch.Generator().manual_seed(1))


def gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]


@every_activation
def test_it_trains_under_autocast(kind: type[Activation]) -> None:
    model = model_of(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model[0](images())
        activated = model[1](hidden)
        loss = model[2](activated).float().square().mean()
    loss.backward()
    assert hidden.dtype is activated.dtype is torch.bfloat16
    assert all(gradient.isfinite().all() for gradient in gradients(model))


@every_activation
def test_a_checkpointed_block_has_the_same_gradients(kind: type[Activation]) -> None:
    plain = model_of(kind)
    again = copy.deepcopy(plain)
    plain(images()).square().mean().backward()
    checkpoint(again, images(), use_reentrant=False).square().mean().backward()
    torch.testing.assert_close(gradients(again), gradients(plain))


@pytest.mark.slow
@every_activation
def test_torch_export_keeps_the_value(kind: type[Activation]) -> None:
    model = model_of(kind).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (images(),), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(program.module()(images()[:3]), model(images()[:3]))


@every_activation
def test_the_optimisers_state_survives_a_pickle(kind: type[Activation]) -> None:
    model, other = model_of(kind), model_of(kind)
    runs = [(m, torch.optim.AdamW(parameter_groups(m, lr=1e-2))) for m in (model, other)]

    def step(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        model(images()).square().mean().backward()
        optimiser.step()

    step(*runs[0])
    other.load_state_dict(pickle.loads(pickle.dumps(model.state_dict())))
    runs[1][1].load_state_dict(pickle.loads(pickle.dumps(runs[0][1].state_dict())))
    for run in runs:
        step(*run)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_two_processes_learn_the_same_shapes_as_one(tmp_path: Path) -> None:
    """DistributedDataParallel over gloo: the averaged gradients are those of the whole batch."""
    in_two_processes(_half_of_the_batch, tmp_path)


def _chain() -> nn.Module:
    torch.manual_seed(0)
    kinds = [kind for kind in ACTIVATIONS.values() if kind.elementwise]
    return nn.Sequential(nn.Conv2d(2, CHANNELS, 3), *(kind(CHANNELS) for kind in kinds)).double()


def _half_of_the_batch(rank: int, _: Path) -> None:
    whole, shared = _chain(), DistributedDataParallel(_chain())
    batch = images()[:4].double() / 10
    whole(batch).square().mean().backward()
    shared(batch[2 * rank : 2 * rank + 2]).square().mean().backward()
    torch.testing.assert_close(gradients(shared), gradients(whole), rtol=1e-9, atol=1e-12)
