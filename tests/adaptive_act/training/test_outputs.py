"""The largest outputs of each activation, and which grew most."""

import math

import torch
from torch import Tensor, nn

from adaptive_act import PReLU
from adaptive_act.training.outputs import OutputReader, find_growth


def scale(value: float) -> Tensor:
    return torch.tensor(value)


def read(model: nn.Module, reader: OutputReader, *values: float) -> None:
    """One step, with a forward pass for each value."""
    for value in values:
        model(torch.tensor([-value, value / 2]))
    reader.end_step()


def test_the_largest_of_all_passes_of_a_step_counts() -> None:
    model = nn.Sequential(PReLU(a=1.0))
    reader = OutputReader(model, every=1)
    read(model, reader, 1.0, 3.0, 2.0)
    assert reader.latest["0"].item() == 3.0
    read(model, reader, 0.5)
    assert (reader.first["0"].item(), reader.latest["0"].item()) == (3.0, 0.5)


def test_other_steps_and_evaluation_are_not_read() -> None:
    model = nn.Sequential(PReLU(a=1.0))
    reader = OutputReader(model, every=2)
    read(model, reader, 1.0)
    read(model, reader, 2.0)
    assert reader.latest["0"].item() == 1.0
    model.eval()
    read(model, reader, 3.0)
    assert reader.latest["0"].item() == 1.0


def test_an_empty_output_is_left_out() -> None:
    model = nn.Sequential(PReLU())
    reader = OutputReader(model, every=1)
    model(torch.empty(0, 2))
    reader.end_step()
    assert reader.latest == {}


def test_a_closed_reader_reads_no_more() -> None:
    model = nn.Sequential(PReLU())
    reader = OutputReader(model, every=1)
    reader.close()
    read(model, reader, 1.0)
    assert reader.latest == {}
    assert not model[0]._forward_hooks


def test_the_layer_that_grew_most_is_found() -> None:
    before = {"a": scale(1.0), "b": scale(2.0), "c": scale(3.0)}
    assert find_growth(before, {"a": scale(2.0), "b": scale(10.0), "c": scale(0.1)}) == ("b", 5.0)


def test_the_first_layer_that_is_not_finite_grew_most() -> None:
    before = {name: scale(1.0) for name in "abc"}
    after = {"a": scale(1e9), "b": scale(math.nan), "c": scale(math.inf)}
    assert find_growth(before, after) == ("b", math.inf)


def test_nothing_grew_where_nothing_is_known_or_larger() -> None:
    assert find_growth({}, {"a": scale(2.0)}) is None
    assert find_growth({"a": scale(2.0)}, {}) is None
    assert find_growth({"a": scale(2.0)}, {"a": scale(2.0)}) is None


def test_outputs_that_were_zero_do_not_divide() -> None:
    before = {"a": scale(0.0), "b": scale(1.0)}
    assert find_growth(before, {"a": scale(5.0), "b": scale(2.0)}) == ("b", 2.0)
