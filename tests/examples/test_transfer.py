"""The transfer example, shortened, and what its table and its verdict are made of."""

import re

import pytest
import torch
from torch import nn

from adaptive_act import NEAAF, swap
from examples.digits.model import build
from examples.transfer.__main__ import main
from examples.transfer.data import make_tasks
from examples.transfer.report import describe_verdict
from examples.transfer.tune import TunedModel, fine_tune
from tests.examples.running import run


def tuned(*accuracies: float) -> list[TunedModel]:
    return [TunedModel(accuracy, 10, 0) for accuracy in accuracies]


@pytest.mark.slow
def test_it_compares_fine_tuning_with_and_without_swap() -> None:
    printed = run(main, "--epochs", "1", "--tune", "2", "--seeds", "2", "--per-class", "4")
    for expected in ("test digits right", "ReLU", "PReLU", "The swap changed"):
        assert expected in printed


def test_no_digit_is_in_two_parts_and_labels_start_at_zero() -> None:
    data = make_tasks(per_class=6, seed=3)
    assert data.tune.labels.bincount().tolist() == data.held_out.labels.bincount().tolist() == [6] * 5
    parts = (data.known, data.tune, data.held_out, data.test)
    assert all(set(part.labels.tolist()) == set(range(5)) for part in parts)
    seen = [image.numpy().tobytes() for part in (data.tune, data.held_out) for image in part.images]
    assert len(set(seen)) == len(seen) == 60


def test_fine_tuning_learns_digits_and_activations() -> None:
    torch.manual_seed(0)
    model = swap(build(classes=5), {nn.ReLU: NEAAF}).model
    result = fine_tune(model, make_tasks(per_class=10, seed=0), epochs=12, seed=0)
    assert result.accuracy > 0.5
    assert any(value.item() != 1 for name, value in model.named_parameters() if name.endswith("alpha"))


@pytest.mark.parametrize(
    ("plain", "swapped", "said"),
    [
        ([0.90, 0.91, 0.90, 0.92], [0.93, 0.94, 0.935, 0.95], r"\+3.12 points .*4 seeds.: more than chance"),
        ([0.90, 0.91, 0.90, 0.92], [0.91, 0.90, 0.91, 0.91], r"\+0.00 points .*: no more than chance"),
        ([0.90], [0.95], "too few different seeds"),
    ],
    ids=["clear", "noise", "one seed"],
)
def test_the_verdict_claims_no_more_than_the_seeds_show(
    plain: list[float], swapped: list[float], said: str
) -> None:
    assert re.search(said, describe_verdict(tuned(*plain), tuned(*swapped)))
