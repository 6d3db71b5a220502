"""Real models are swapped with their outputs unchanged, learn, come back from a file, and are exported."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from adaptive_act import (
    Affine,
    PReLU,
    ScaledGELU,
    Swapped,
    Swish,
    load,
    named_activations,
    save,
    swap,
)
from adaptive_act.plain import PLAIN
from adaptive_act.swapping.recognise import Recogniser
from adaptive_act.swapping.undo import unswap
from convert.pipeline import convert
from tests.adaptive_act.swapping.real_models import models
from tests.adaptive_act.swapping.real_models.models import create_act

WANTED: dict[type[nn.Module], Any] = {
    nn.ReLU: PReLU,
    nn.SiLU: Swish,
    nn.GELU: ScaledGELU,
    nn.Hardswish: Affine,
    nn.Hardsigmoid: Affine,
    nn.Sigmoid: Affine,
    nn.Tanh: Affine,
}
EVERYTHING = {**{plain.module: None for plain in PLAIN.values()}, nn.PReLU: None, nn.Identity: None}
NUMBERS = torch.Generator().manual_seed(0)
IMAGE = torch.randn(2, 3, 32, 32, generator=NUMBERS)
WORDS = torch.randint(0, 64, (2, 9), generator=NUMBERS)
SERIES = torch.randn(2, 5, 6, generator=NUMBERS)
SEQUENCE = torch.randn(2, 5, 16, generator=NUMBERS)
ROWS = (torch.randn(3, 7, generator=NUMBERS), torch.randint(0, 5, (3,), generator=NUMBERS))


@dataclass(frozen=True)
class Case:
    """A model, what it runs on, the activations that stand in it, and where their channels lie."""

    name: str
    factory: Any
    example: tuple[Tensor, ...]
    found: dict[str, int]
    axis: int
    kwargs: dict[str, Any] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


def timm_case(name: str, found: dict[str, int], axis: int, **options: Any) -> Case:
    """One of timm's networks, with as few blocks as show all that it does."""
    return Case(name, models.timm_model, (IMAGE,), found, axis, {"name": name, **options})


CASES = (
    timm_case("resnet18", {"ReLU": 9}, 1, layers=(1, 1, 1, 1)),
    timm_case(
        "mobilenetv3_small_050", {"Hardswish": 11, "ReLU": 10, "Hardsigmoid": 5}, 1, depth_multiplier=0.3
    ),
    timm_case("test_efficientnet", {"SiLU": 11, "Sigmoid": 2}, 1),
    timm_case("vit_tiny_patch16_224", {"GELU": 3}, -1, img_size=32, depth=3),
    timm_case("convnext_atto", {"GELU": 5}, 1, depths=(1, 1, 2, 1), ls_init_value=0.5),
    timm_case("densenet121", {"ReLU": 13}, 1, block_config=(1, 1, 1, 1)),
    Case("bert", models.Bert, (WORDS,), {"GELU": 2, "Tanh": 1}, -1),
    Case("lstm", models.LSTMHead, (SERIES,), {"ReLU": 1}, -1, skipped=("Sigmoid", "Tanh")),
    Case("unet", models.UNet, (IMAGE,), {"ReLU": 10, "Sigmoid": 1}, 1),
    Case("tabular", models.TabularMLP, ROWS, {"SiLU": 2}, -1),
    Case("encoder", models.Encoder, (SEQUENCE,), {"ReLU": 2}, -1),
)
EXPORTED = {"mobilenetv3_small_050", "vit_tiny_patch16_224", "bert", "lstm", "tabular", "encoder"}


@dataclass(frozen=True)
class Done:
    case: Case
    model: nn.Module
    swapped: Swapped


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def done(request: pytest.FixtureRequest) -> Done:
    """Each model once, with parameters for each channel."""
    case = request.param
    torch.manual_seed(0)
    model = case.factory(**case.kwargs).eval()
    return Done(case, model, swap(model, WANTED, per_channel=True, example=case.example))


@torch.no_grad()
def run(model: nn.Module, case: Case) -> Tensor:
    answer: Tensor = model.eval()(*case.example)
    return answer


@pytest.mark.slow
def test_every_activation_is_found_and_the_outputs_stay(done: Done) -> None:
    replaced = Counter(site.replaced.partition("(")[0] for site in done.swapped.report.changed)
    assert replaced == done.case.found
    torch.testing.assert_close(
        run(done.swapped.model, done.case), run(done.model, done.case), rtol=1e-5, atol=1e-5
    )


def test_what_is_left_is_named(done: Done) -> None:
    assert tuple(entry.what for entry in done.swapped.report.skipped) == done.case.skipped


def test_the_channels_are_the_features_of_the_layer_before(done: Done) -> None:
    assert {site.channel_axis for site in done.swapped.report.changed} == {done.case.axis}


def test_every_parameter_learns(done: Done) -> None:
    done.swapped.model.zero_grad()
    done.swapped.model(*done.case.example).square().sum().backward()
    for layer, activation in named_activations(done.swapped.model).items():
        for name, parameter in activation.named_parameters():
            assert parameter.grad is not None, f"{layer}.{name}"
            assert parameter.grad.isfinite().all(), f"{layer}.{name}"
    done.swapped.model.zero_grad()


def test_the_way_back_gives_the_same_outputs(done: Done) -> None:
    back = unswap(done.swapped.model)
    assert not back.kept
    assert torch.equal(run(back.model, done.case), run(done.model, done.case))


@pytest.mark.slow
def test_trained_it_comes_back_from_a_file_and_is_exported(done: Done, tmp_path: Path) -> None:
    """The last to use the model, which it changes. Export passes only if the file answers as it does.

    Those that are not in EXPORTED are exported whole by `make bench`.
    """
    torch.manual_seed(1)
    for activation in named_activations(done.swapped.model).values():
        for parameter in activation.parameters():
            parameter.data += 0.02 * torch.rand_like(parameter)
    inputs = [
        {"name": f"input{i}", "dtype": str(x.dtype).removeprefix("torch."), "shape": list(x.shape)}
        for i, x in enumerate(done.case.example)
    ]
    path = tmp_path / "model.pt"
    save(done.swapped.model, path, factory=done.case.factory, factory_kwargs=done.case.kwargs, inputs=inputs)
    assert torch.equal(run(load(path).model, done.case), run(done.swapped.model, done.case))
    if done.case.name in EXPORTED:
        convert(path, tmp_path / "model.onnx")
        assert (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gelu", "GELU(approximate='none')"),
        ("gelu_new", "GELU(approximate='tanh')"),
        ("gelu_fast", "GELU(approximate='tanh')"),
        ("gelu_python", "GELU(approximate='none')"),
        ("gelu_pytorch_tanh", "GELU(approximate='tanh')"),
        ("gelu_python_tanh", "GELU(approximate='tanh')"),
        ("gelu_accurate", "GELU(approximate='tanh')"),
        ("quick_gelu", "QuickGELU()"),
        ("silu", "SiLU()"),
        ("mish", "Mish()"),
        ("linear", "Identity()"),
        ("relu6", "ReLU6()"),
        ("hardswish", "Hardswish()"),
        ("laplace", None),
        ("relu2", None),
        ("gelu_10", None),
    ],
)
def test_transformers_activations_are_what_they_compute(name: str, kind: str | None) -> None:
    assert _recognised(ACT2FN[name]) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Swish", "SiLU()"),
        ("SwishMe", "SiLU()"),
        ("Mish", "Mish()"),
        ("MishMe", "Mish()"),
        ("Sigmoid", "Sigmoid()"),
        ("Tanh", "Tanh()"),
        ("HardSwish", "Hardswish()"),
        ("HardSwishMe", "Hardswish()"),
        ("HardSigmoid", "Hardsigmoid()"),
        ("HardSigmoidMe", "Hardsigmoid()"),
        ("GELU", "GELU(approximate='none')"),
        ("GELUTanh", "GELU(approximate='tanh')"),
        ("QuickGELU", "QuickGELU()"),
        ("PReLU", "PReLU(num_parameters=1)"),
        ("HardMish", None),
    ],
)
def test_timms_activations_are_what_they_compute(name: str, kind: str | None) -> None:
    assert _recognised(getattr(create_act, name)()) == kind


def _recognised(module: nn.Module) -> str | None:
    found = Recogniser(EVERYTHING)(module)
    return None if found is None else repr(found[1])
