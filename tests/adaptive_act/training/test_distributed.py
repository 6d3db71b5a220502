"""Processes that train together decide together."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from adaptive_act.training import Freeze, Guard
from tests.adaptive_act.processes import in_two_processes
from tests.adaptive_act.training.runs import QUICK, backward, batches, network, optimizer_of


def run(rank: int, folder: Path) -> None:
    """One of two processes; from the sixth step on, only the second one sees a loss that is too high."""
    model: nn.Module = DistributedDataParallel(network(), find_unused_parameters=True)
    freeze = Freeze(model, 2)
    guard = Guard(model, optimizer_of(model), options=QUICK)
    alphas: list[Tensor] = []
    for step, (x, y) in enumerate(batches(9, seed=rank)):
        loss = backward(model, x, y)
        guard.step(loss + 1e3 * step * rank * (step in (6, 7)))
        freeze.step()
        alphas.append(model.get_parameter("module.2.alpha").detach().clone())
    events = [(event.step, event.what) for event in guard.events]
    state = {name: p.detach() for name, p in model.named_parameters()}
    torch.save({"events": events, "state": state, "alphas": alphas}, folder / f"{rank}.pt")


@pytest.mark.slow
def test_one_process_that_diverges_rolls_all_of_them_back(tmp_path: Path) -> None:
    in_two_processes(run, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["events"] == second["events"] == [(8, "rolled back")]
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    alphas = torch.stack(first["alphas"]).flatten().tolist()
    assert alphas[0] == alphas[1] == 1.0
    assert alphas[3] != 1.0
