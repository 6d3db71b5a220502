"""Plain activations are told apart by what defines them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adaptive_act.plain import FUNCTIONS, PLAIN, Plain, build, describe, from_repr

CHANGED = {
    "negative_slope": 0.3,
    "alpha": 0.7,
    "approximate": "tanh",
    "beta": 2.0,
    "threshold": 9.0,
    "lambd": 0.2,
    "min_val": -2.0,
    "max_val": 3.0,
}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=lambda plain: plain.name)
def test_a_description_builds_an_equal_module(plain: Plain) -> None:
    module = plain.module(**{argument: CHANGED[argument] for argument in plain.arguments})
    x = torch.linspace(-5, 5, 101)
    for again in (build(describe(module)), build(module)):
        assert torch.equal(again(x), module(x))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(getattr(function, "__name__", "")))
def test_a_function_computes_what_its_module_does(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-5, 5, 101)
    assert torch.equal(function(x.clone()), FUNCTIONS[function].module()(x))


@pytest.mark.parametrize(
    "wrong",
    [
        *("Linear", {"name": "ELU", "beta": 1}, {"alpha": 1}, nn.Linear(1, 1), nn.Linear),
        *({"name": "LeakyReLU", "negative_slope": "x"}, {"name": "GELU", "approximate": 1}),
        {"name": "Hardtanh", "min_val": 1.0, "max_val": 0.0},
    ],
)
def test_anything_else_is_refused_with_the_choices(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"expected a plain torch activation.*ReLU, LeakyReLU"):
        build(wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "text", ["-" * 100_000 + "1", "Hardtanh(1, 0)", "LeakyReLU(negative_slope='x')", "ReLU(\0)"]
)
def test_the_text_of_a_strange_file_is_no_activation(text: str) -> None:
    assert from_repr(text) is None
