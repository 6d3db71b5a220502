"""The two models that are compared: one with ReLU, and one whose activations learn."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from adaptive_act import ACTIVATIONS, swap
from examples.digits.data import Digits
from examples.digits.exported import export_file
from examples.digits.model import build
from examples.digits.train import predict, train

ROUNDS = 3
"""Short trainings of the control."""
FURTHER_EPOCHS = 4
"""Of the candidate, so that there is a difference to be found."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The share of test digits that each of the two has right: what an experiment can only estimate."""

    control: float
    candidate: float

    def find_effect(self, scale: str, *, of_failures: bool) -> float:
        """What a metric of right answers estimates: a difference, or a ratio of wrong or of right ones."""
        if scale == "difference":
            return self.candidate - self.control
        return (1 - self.candidate) / (1 - self.control) if of_failures else self.candidate / self.control


def put_variants(folder: Path, train_data: Digits, test_data: Digits, seed: int) -> Truth:
    """The truth about `digits` in `folder`/models: version 1 has ReLU, 2 has PReLU and is trained longer."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    control = build()
    for _ in range(ROUNDS):
        train(control, train_data, 1, seed, _ignore)
    swapped = swap(copy.deepcopy(control), {nn.ReLU: ACTIVATIONS["PReLU"]}, example=train_data.images)
    candidate = train(swapped.model, train_data, FURTHER_EPOCHS, seed + 1, _ignore).model
    for version, model in (("1", control), ("2", candidate)):
        export_file(model, folder / f"{version}.pt", folder / "models" / "digits" / version / "model.onnx")
    return Truth(_measure(control, test_data), _measure(candidate, test_data))


def _measure(model: nn.Module, data: Digits) -> float:
    return float((predict(model, data.images).argmax(1) == data.labels).float().mean())


def _ignore(epochs: int) -> None:
    """Nobody watches so short a training."""
