"""Taps show what passes, and stay with the model they were made for."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import PELU, named_activations
from adaptive_act.training.hooks import ActivationHooks


class Heard:
    """Notes the layers that it was shown."""

    def __init__(self, model: nn.Module) -> None:
        self.layers: list[str] = []
        self.taps = ActivationHooks(model, self.read)

    def read(self, layer: str, x: Tensor, output: Tensor) -> None:
        assert not x.requires_grad
        assert not output.requires_grad
        self.layers.append(layer)


def test_a_shared_activation_is_called_by_its_first_name() -> None:
    shared = PELU()
    model = nn.Sequential(shared, PELU(), shared)
    heard = Heard(model)
    model(torch.ones(1, requires_grad=True))
    assert heard.layers == ["0", "1", "0"]


def test_copies_and_pickles_of_a_model_are_silent_and_work() -> None:
    model = nn.Sequential(PELU())
    heard = Heard(model)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(torch.ones(1)), torch.ones(1))
    assert heard.layers == []
    assert named_activations(model)["0"].curve(torch.ones(1)).item() == 1.0
    assert heard.layers == []


def test_nothing_is_left_after_closing() -> None:
    model = nn.Sequential(PELU())
    heard = Heard(model)
    heard.taps.close()
    model(torch.ones(1))
    assert heard.layers == []
    assert not model[0]._forward_hooks


@pytest.mark.slow
def test_a_forgotten_reader_is_not_kept_alive_by_the_model() -> None:
    model = nn.Sequential(PELU())
    forgotten = weakref.ref(Heard(model))
    gc.collect()
    assert forgotten() is None
    model(torch.ones(1))


def test_a_compiled_model_is_one_graph_with_the_taps_in_it() -> None:
    model = nn.Sequential(PELU(), PELU())
    heard = Heard(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.ones(2)), torch.ones(2))
    assert heard.layers == []
