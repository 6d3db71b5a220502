"""What ours are measured against computes the same."""

import pytest
import torch

from adaptive_act import ACTIVATIONS
from benchmarks.fast_textbook import FAST_TEXTBOOK
from benchmarks.textbook import TEXTBOOK, Textbook


@pytest.mark.parametrize("name", FAST_TEXTBOOK)
def test_the_textbook_computes_what_ours_does(name: str) -> None:
    activation = ACTIVATIONS[name]().double()
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)
    for formulas in (TEXTBOOK, FAST_TEXTBOOK):
        torch.testing.assert_close(
            Textbook(activation, formulas[name])(x), activation(x), rtol=1e-6, atol=1e-8
        )
