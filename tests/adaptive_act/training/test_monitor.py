"""The monitor reads what went through the activations, and nothing else."""

import math
from collections.abc import Mapping

import pytest
import torch
from torch import nn

from adaptive_act import PELU, PReLU
from adaptive_act.training import Monitor
from tests.adaptive_act.training.runs import backward, batches, network


class Kept:
    """A writer that keeps what it was given."""

    def __init__(self) -> None:
        self.steps: dict[int, Mapping[str, Mapping[str, float]]] = {}
        self.closed = False

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        self.steps[step] = readings

    def close(self) -> None:
        self.closed = True


def test_a_reading_is_what_torch_computes_from_the_tensors() -> None:
    model = nn.Sequential(PReLU(a=0.5))
    x = torch.tensor([[-8.0, -1.0, 2.0, 7.0]])
    with Monitor(model, bound=6.0) as monitor:
        model(x).sum().backward()
        readings = monitor.step()
    y = torch.tensor([-4.0, -0.5, 2.0, 7.0])
    assert readings == {
        "0": {
            "value/a": 0.5,
            "gradient/a": 9.0,
            "inputs_beyond": 0.5,
            "inputs_not_finite": 0.0,
            "outputs_not_finite": 0.0,
            "outputs_rms": pytest.approx(y.square().mean().sqrt().item()),
            "outputs_max": 7.0,
        }
    }


def test_nan_is_counted_and_kept_out_of_the_scale() -> None:
    model = nn.Sequential(PReLU(a=0.5))
    monitor = Monitor(model)
    model(torch.tensor([math.nan, math.inf, -math.inf, 3.0]))
    (reading,) = (monitor.step() or {}).values()
    assert reading["inputs_not_finite"] == reading["outputs_not_finite"] == 3
    assert reading["outputs_rms"] == reading["outputs_max"] == 3.0
    assert reading["inputs_beyond"] == 2 / 4


def test_values_per_channel_are_their_span() -> None:
    model = nn.Sequential(PELU(channels=2, a=[1.0, 3.0]))
    (reading,) = (Monitor(model).step() or {}).values()
    span = [reading[f"value/a/{name}"] for name in ("min", "mean", "max")]
    assert span == pytest.approx([1.0, 2.0, 3.0])


def test_it_reads_once_in_every_so_many_steps_and_hands_it_to_the_writers() -> None:
    model, writer = network(), Kept()
    with Monitor(model, [writer], every=3) as monitor:
        read = []
        for x, y in batches(7):
            backward(model, x, y)
            read.append(monitor.step() is not None)
    assert read == [True, False, False, True, False, False, True]
    assert list(writer.steps) == [0, 3, 6]
    assert set(writer.steps[6]) == {"2", "4"}
    assert writer.closed
    assert not model[2]._forward_hooks


def test_it_sees_training_only_and_all_parts_of_an_accumulated_step() -> None:
    model = nn.Sequential(PReLU())
    monitor = Monitor(model, bound=1.0)
    model(torch.tensor([5.0, 0.0]))
    model(torch.tensor([5.0, 5.0]))
    model.eval()
    model(torch.tensor([0.0] * 100))
    (reading,) = (monitor.step() or {}).values()
    assert reading["inputs_beyond"] == 3 / 4


def test_a_shared_activation_is_one_layer() -> None:
    shared = PReLU()
    model = nn.Sequential(shared, shared)
    monitor = Monitor(model)
    model(torch.ones(1))
    assert set(monitor.step() or {}) == {"0"}


def test_it_changes_nothing_that_training_computes() -> None:
    watched, plain = network(), network()
    with Monitor(watched, every=1) as monitor, torch.autocast("cpu", torch.bfloat16):
        for x, y in batches(3):
            assert torch.equal(backward(watched, x, y), backward(plain, x, y))
            monitor.step()
    for p, q in zip(watched.parameters(), plain.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert torch.equal(p.grad, q.grad)


def test_a_resumed_monitor_goes_on_counting() -> None:
    model = network()
    monitor, writer = Monitor(model, every=2), Kept()
    monitor.step()
    resumed = Monitor(model, [writer], every=2)
    resumed.load_state_dict(monitor.state_dict())
    for _ in range(2):
        resumed.step()
    assert list(writer.steps) == [2]


def test_reading_less_often_than_never_is_refused() -> None:
    with pytest.raises(ValueError, match="every of at least 1 step, got 0"):
        Monitor(network(), every=0)
