"""The networks of the benchmarks are those of their papers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from benchmarks.models.bigvgan import RATIO, AntiAliased, Snake, bigvgan, lowpass
from benchmarks.models.darknet import darknet53
from benchmarks.models.fsrcnn import fsrcnn
from benchmarks.models.iresnet import iresnet18, iresnet50
from benchmarks.models.resnet import resnet18
from tests.adaptive_act.swapping.real_models.models import timm_model


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def run(model: nn.Module, *shape: int) -> Tensor:
    result: Tensor = model.eval()(torch.zeros(shape))
    return result


@pytest.mark.parametrize(("build", "theirs"), [(resnet18, "resnet18"), (darknet53, "darknet53")])
def test_a_classifier_has_as_many_parameters_as_timms(build: Callable[..., nn.Module], theirs: str) -> None:
    assert parameters(build(classes=4)) == parameters(timm_model(theirs))


@pytest.mark.parametrize(
    ("build", "millions"),
    [(resnet18, 11.7), (iresnet18, 24.0), (iresnet50, 43.6), (darknet53, 41.6), (bigvgan, 14.0)],
)
def test_a_model_has_the_published_number_of_parameters(
    build: Callable[[], nn.Module], millions: float
) -> None:
    assert round(parameters(build()) / 1e6, 1) == millions


def test_fsrcnn_has_the_weights_that_its_paper_counts() -> None:
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    layers = [layer for layer in fsrcnn().modules() if isinstance(layer, convolutions)]
    assert sum(layer.weight.numel() for layer in layers) == 12_464


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "given", "made"),
    [
        (resnet18, (2, 3, 64, 64), (2, 1000)),
        (iresnet18, (2, 3, 112, 112), (2, 512)),
        (iresnet50, (2, 3, 112, 112), (2, 512)),
        (fsrcnn, (1, 1, 18, 32), (1, 1, 54, 96)),
        (darknet53, (1, 3, 64, 64), (1, 1000)),
        (bigvgan, (1, 100, 3), (1, 1, 768)),
    ],
)
def test_shapes_are_those_of_the_paper(
    build: Callable[[], nn.Module], given: tuple[int, ...], made: tuple[int, ...]
) -> None:
    assert run(build(), *given).shape == made


@pytest.mark.parametrize(
    ("build", "kind", "count"),
    [
        (iresnet18, nn.PReLU, 9),
        (iresnet50, nn.PReLU, 25),
        (fsrcnn, nn.PReLU, 7),
        (darknet53, nn.Mish, 52),
        (bigvgan, Snake, 73),
    ],
)
def test_the_slow_activation_stands_everywhere(
    build: Callable[[], nn.Module], kind: type[nn.Module], count: int
) -> None:
    assert sum(isinstance(module, kind) for module in build().modules()) == count


def test_the_filter_keeps_low_tones_and_takes_high_ones() -> None:
    response = torch.fft.rfft(lowpass().flatten(), 128).abs()
    passed, stopped = response[: 64 // RATIO // 2], response[-64 // RATIO // 2 :]
    assert response[0] == pytest.approx(1)
    assert passed.min() > 0.9
    assert stopped.max() < 0.02


def test_a_slow_tone_passes_the_two_filters() -> None:
    around = AntiAliased(1)
    tone = torch.sin(torch.arange(200) / 8).reshape(1, 1, -1)
    around.snake = nn.Identity()  # type: ignore[assignment]
    middle = slice(20, -20)
    assert torch.allclose(around(tone)[..., middle], tone[..., middle], atol=2e-2)
