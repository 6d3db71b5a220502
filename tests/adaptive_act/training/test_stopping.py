"""Early stopping stops in time and brings back the best."""

import math
import pickle

import pytest
import torch
from torch import nn

from adaptive_act import NEAAF
from adaptive_act.training import EarlyStopping
from adaptive_act.training.stopping import Mode
from tests.adaptive_act.training.runs import network, same, state_of


def mark(model: nn.Module, value: float) -> None:
    """Makes the state of the model recognisable."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(value)


@pytest.mark.parametrize(
    ("mode", "metrics", "stops_at", "best"),
    [
        ("min", [3.0, 2.0, 2.5, 2.0, 1.9, 5.0, 5.0, 5.0], 7, 1.9),
        ("max", [0.1, 0.5, 0.4, 0.5, 0.3], 4, 0.5),
        ("min", [1.0, math.nan, math.nan, math.nan], 3, 1.0),
        ("min", [math.nan, 2.0, 3.0, 3.0, 3.0], 4, 2.0),
    ],
    ids=str,
)
def test_it_stops_after_patience_and_restores_the_best(
    mode: Mode, metrics: list[float], stops_at: int, best: float
) -> None:
    model = network()
    stopping = EarlyStopping(model, patience=3, mode=mode)
    for index, metric in enumerate(metrics):
        mark(model, index)
        if stopping.update(metric):
            break
    assert index == stops_at
    stopping.restore()
    assert stopping.best == best
    assert all((tensor == metrics.index(best)).all() for tensor in model.state_dict().values())


def test_a_gain_below_the_least_one_does_not_count() -> None:
    stopping = EarlyStopping(network(), patience=2, min_delta=0.1)
    assert [stopping.update(torch.tensor(metric, requires_grad=True)) for metric in (1.0, 0.95, 0.92)] == [
        False,
        False,
        True,
    ]


def test_without_any_update_it_leaves_the_model_as_it_is() -> None:
    model = network()
    before = state_of(model)
    EarlyStopping(model).restore()
    assert same(before, state_of(model))


def test_a_gamma_that_moved_since_is_restored_too() -> None:
    activation = NEAAF(gamma=0.02)
    model = nn.Sequential(activation)
    stopping = EarlyStopping(model)
    stopping.update(1.0)
    activation.gamma = 0.3
    stopping.restore()
    assert activation.gamma == 0.02


def test_a_resumed_one_knows_the_best_of_before() -> None:
    model = network()
    stopping = EarlyStopping(model, patience=3, device="cpu")
    best = state_of(model)
    stopping.update(1.0)
    mark(model, 7)
    stopping.update(2.0)
    other = network(seed=1)
    resumed = EarlyStopping(other, patience=3)
    resumed.load_state_dict(pickle.loads(pickle.dumps(stopping.state_dict())))
    assert [resumed.update(2.0), resumed.update(2.0)] == [False, True]
    resumed.restore()
    assert same(best, state_of(other))


@pytest.mark.parametrize("wrong", [{"mode": "least"}, {"patience": 0}], ids=str)
def test_a_wrong_argument_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="`EarlyStopping` expects"):
        EarlyStopping(network(), **wrong)  # type: ignore[arg-type]
