"""The catalogue says of every activation what its class declares."""

import pytest

from adaptive_act import ACTIVATIONS
from adaptive_act.activations.catalogue import Entry, catalogue


def test_it_lists_every_activation_once() -> None:
    assert sorted(entry.name for entry in catalogue()) == sorted(ACTIVATIONS)


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_every_entry_is_whole(entry: Entry) -> None:
    assert entry.formula
    assert entry.summary
    assert entry.learned == dict(ACTIVATIONS[entry.name].learned)
    assert entry.operators == ACTIVATIONS[entry.name].onnx_ops
    assert "20" in entry.source or "19" in entry.source


def test_an_entry_reads_as_its_docstring_does() -> None:
    entry = next(entry for entry in catalogue() if entry.name == "PReLU")
    assert entry.formula == "max(0, x) + a · min(0, x)"
    assert entry.summary == "ReLU whose left side has a slope"
    assert entry.source == "He et al. 2015, https://arxiv.org/abs/1502.01852"
    assert {"ReLU", "LeakyReLU"} <= set(entry.equals)
