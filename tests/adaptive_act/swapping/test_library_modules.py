"""Torch's transformer layers run what was put into them, and not the kernel that has ReLU inside."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import Affine, PReLU, ScaledGELU, load, model_factory, named_activations, save, swap
from adaptive_act.swapping.undo import unswap
from tests.adaptive_act import models

SEQUENCE = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
WANTED = {nn.ReLU: PReLU, nn.GELU: ScaledGELU}


@model_factory
def encoder(activation: str = "relu", as_module: bool = False) -> nn.Module:
    given = nn.ReLU() if as_module else activation
    torch.manual_seed(0)
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, given, batch_first=True), 2).eval()


@torch.no_grad()
def run(model: nn.Module) -> Tensor:
    return model(SEQUENCE)  # type: ignore[no-any-return]  # Module calls are Any


@pytest.mark.parametrize("model", [encoder(), encoder("gelu"), encoder(as_module=True)])
def test_an_encoder_layers_activation_is_used_in_evaluation(model: nn.Module) -> None:
    swapped = swap(model, WANTED, example=SEQUENCE).model
    assert list(named_activations(swapped)) == ["layers.0.activation", "layers.1.activation"]
    torch.testing.assert_close(run(swapped), run(model), rtol=1e-5, atol=1e-6)
    for activation in named_activations(swapped).values():
        for parameter in activation.parameters():
            parameter.data += 0.5
    assert (run(swapped) - run(model)).abs().max() > 1e-3


def test_what_was_not_swapped_keeps_its_kernel() -> None:
    swapped = swap(encoder(), WANTED, where="layers.0.*").model
    assert [layer.activation_relu_or_gelu for layer in swapped.layers] == [0, 1]  # type: ignore[union-attr]
    assert not swapped.use_nested_tensor


def test_a_decoder_layer_is_swapped() -> None:
    model = nn.TransformerDecoderLayer(8, 2, 16, 0.0, F.gelu, batch_first=True).eval()
    swapped = swap(model, WANTED, example=(SEQUENCE, SEQUENCE)).model
    assert list(named_activations(swapped)) == ["activation"]


def test_unswapped_it_is_torchs_own_layer_again() -> None:
    model = encoder()
    back = unswap(swap(model, WANTED).model).model
    assert [layer.activation_relu_or_gelu for layer in back.layers] == [1, 1]  # type: ignore[union-attr]
    assert back.use_nested_tensor == model.use_nested_tensor
    assert torch.equal(run(back), run(model))


def test_it_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    swapped = swap(encoder("gelu"), WANTED).model
    for activation in named_activations(swapped).values():
        for parameter in activation.parameters():
            parameter.data += 0.5
    spec = [{"name": "x", "dtype": "float32", "shape": [None, 5, 8]}]
    save(swapped, tmp_path / "m.pt", factory=encoder, factory_kwargs={"activation": "gelu"}, inputs=spec)
    assert torch.equal(run(load(tmp_path / "m.pt").model), run(swapped))


def test_a_held_function_is_swapped_with_its_arguments() -> None:
    model = models.Holding()
    swapped = swap(model, WANTED, example=SEQUENCE).model
    (activation,) = named_activations(swapped).values()
    assert activation.options() == {"approximate": "tanh"}
    assert torch.equal(swapped(-SEQUENCE), model(-SEQUENCE))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is (deprecated|not supported):DeprecationWarning")
def test_what_torchscript_runs_is_named() -> None:
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.ReLU())
    report = swap(model, {nn.ReLU: PReLU, nn.Tanh: Affine}, example=torch.randn(2, 4)).report
    assert [site.layer for site in report.changed] == ["1"]
    assert [str(entry) for entry in report.skipped] == [
        "0: ReLU left as it is: TorchScript runs it, whose code cannot be changed"
    ]


@pytest.mark.parametrize(
    ("module", "inside"),
    [
        (nn.LSTM(4, 4), ["Sigmoid", "Tanh"]),
        (nn.GRUCell(4, 4), ["Sigmoid", "Tanh"]),
        (nn.RNN(4, 4), ["Tanh"]),
        (nn.RNNCell(4, 4, nonlinearity="relu"), ["ReLU"]),
        (nn.GLU(), ["Sigmoid"]),
    ],
)
def test_a_kernels_activations_are_named(module: nn.Module, inside: list[str]) -> None:
    model = nn.Sequential(module, nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    report = swap(model, {nn.ReLU: PReLU, nn.Tanh: Affine, nn.Sigmoid: Affine}).report
    assert [entry.what for entry in report.skipped] == inside
    assert {entry.layer for entry in report.skipped} == {"0"}
