"""The handwritten digits in two tasks: 0 to 4 with many examples, 5 to 9 with few."""

from dataclasses import dataclass

import torch
from torch import Tensor

from examples.digits.data import Digits, read_digits

KNOWN = range(5)
NEW = range(5, 10)


@dataclass(frozen=True, slots=True)
class Tasks:
    """The digits 0 to 4 to train on, and of 5 to 9 a few to tune on, as many held out, and the rest to test.

    The labels of 5 to 9 are 0 to 4.
    """

    known: Digits
    tune: Digits
    held_out: Digits
    test: Digits


def make_tasks(per_class: int, seed: int) -> Tasks:
    """The tasks with `per_class` digits of each new class to tune on, which ones depends on the seed."""
    train, test = read_digits()
    generator = torch.Generator().manual_seed(seed)
    tune, held_out = [], []
    for label in NEW:
        places = torch.nonzero(train.labels == label).flatten()
        places = places[torch.randperm(len(places), generator=generator)]
        tune.append(places[:per_class])
        held_out.append(places[per_class : 2 * per_class])
    return Tasks(
        known=_select_classes(train, KNOWN),
        tune=_select_samples(train, torch.cat(tune)),
        held_out=_select_samples(train, torch.cat(held_out)),
        test=_select_classes(test, NEW),
    )


def _select_classes(data: Digits, classes: range) -> Digits:
    return _select_samples(data, (data.labels >= classes.start) & (data.labels < classes.stop))


def _select_samples(data: Digits, places: Tensor) -> Digits:
    return Digits(data.images[places], data.labels[places] % len(NEW))
