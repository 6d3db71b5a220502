"""The networks of a study, sized from the data: built-in ones, or one that the user's factory builds."""

import itertools
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.checkpoint.factory import build_model, model_factory, resolve_factory
from adaptive_act.errors import FactoryError, StudyError
from adaptive_act.study.specs import Architecture
from adaptive_act.study.syntax import NamedOptions
from adaptive_act.study.variants import plain_activation, replace_plain

Shape = Sequence[int]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, added to the input.

    Where the sizes differ, the input passes a 1x1 convolution with batch normalisation first.
    Source: He et al. 2016, https://arxiv.org/abs/1512.03385
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = plain_activation(activation)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act2 = plain_activation(activation)
        self.shortcut = (
            nn.Identity()
            if (inputs, stride) == (outputs, 1)
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """The output [n, outputs, height / stride, width / stride] of x [n, inputs, height, width]."""
        inside = self.act1(self.norm1(self.conv1(x)))
        result: Tensor = self.act2(self.norm2(self.conv2(inside)) + self.shortcut(x))
        return result


def mlp(shape: Shape, classes: int, activation: str, width: int = 256, depth: int = 1) -> nn.Module:
    """`depth` hidden layers of `width` units each."""
    widths = [math.prod(shape), *[width] * depth]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths), start=1):
        layers[f"linear{number}"] = nn.Linear(inputs, outputs)
        layers[f"act{number}"] = plain_activation(activation)
    layers["classify"] = nn.Linear(widths[-1], classes)
    return nn.Sequential(layers)


def cnn(shape: Shape, classes: int, activation: str, width: int = 16) -> nn.Module:
    """Two pooled 3x3 convolutions, of `width` and twice as many channels, and a layer of 4 x `width`."""
    channels, height, columns = _require_image(shape, "cnn")
    pixels = (height // 4) * (columns // 4)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, width, 3, padding=1, bias=False),
            pool1=nn.MaxPool2d(2),
            norm1=nn.BatchNorm2d(width),
            act1=plain_activation(activation),
            conv2=nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
            pool2=nn.MaxPool2d(2),
            norm2=nn.BatchNorm2d(2 * width),
            act2=plain_activation(activation),
            flatten=nn.Flatten(),
            linear=nn.Linear(2 * width * pixels, 4 * width),
            act3=plain_activation(activation),
            classify=nn.Linear(4 * width, classes),
        )
    )


def resnet(shape: Shape, classes: int, activation: str, width: int = 16) -> nn.Module:
    """A 3x3 convolution and two residual blocks, each with stride 2 and twice the channels, then averaged."""
    channels, _, _ = _require_image(shape, "resnet")
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            norm=nn.BatchNorm2d(width),
            act=plain_activation(activation),
            block1=ResidualBlock(width, 2 * width, 2, activation),
            block2=ResidualBlock(2 * width, 4 * width, 2, activation),
            average=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classify=nn.Linear(4 * width, classes),
        )
    )


BUILT_IN: Mapping[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn, "resnet": resnet}


@model_factory
def built_in(architecture: str, shape: Shape, classes: int, activation: str) -> nn.Module:
    """A built-in network with a plain activation, such as `mlp(width=64)` with `ELU`.

    Its weights lie in memory with the channels last, which halves a convolution's time on a CPU.
    """
    named = NamedOptions.parse(architecture)
    if named.name not in BUILT_IN:
        raise StudyError(
            f"unknown architecture `{named.name}`; expected one of {', '.join(BUILT_IN)}, or your own by "
            "`--factory package.module:callable`"
        )
    try:
        model = BUILT_IN[named.name](shape, classes, activation, **named.options)
    except TypeError as error:
        raise StudyError(f"architecture `{architecture}`: {error}") from error
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch leaves it out
    return model


def of_factory(factory: str, kwargs: Mapping[str, Any], baseline: str, activation: str) -> nn.Module:
    """The network that the user's factory builds, with `activation` in place of its `baseline`."""
    model = build_model(resolve_factory(factory, trusted=True), kwargs)
    return model if activation == baseline else replace_plain(model, baseline, activation)


def describe_network(
    architecture: Architecture, shape: Shape, classes: int, baseline: str, activation: str
) -> tuple[str, dict[str, Any]]:
    """The factory, as "package.module:callable", and its arguments for the network with `activation`."""
    if architecture.is_built_in:
        return f"{__name__}:built_in", {
            "architecture": architecture.name,
            "shape": list(shape),
            "classes": classes,
            "activation": activation,
        }
    return f"{__name__}:of_factory", {
        "factory": architecture.name,
        "kwargs": parse_factory_kwargs(architecture),
        "baseline": baseline,
        "activation": activation,
    }


def parse_factory_kwargs(architecture: Architecture) -> dict[str, Any]:
    """The arguments of the user's factory; raises StudyError where they are no JSON object."""
    try:
        kwargs = json.loads(architecture.factory_kwargs)
    except (ValueError, RecursionError) as error:
        raise StudyError(f"`{architecture.factory_kwargs}` is not JSON: {error}") from error
    if not isinstance(kwargs, dict):
        raise StudyError(
            f"`{architecture.factory_kwargs}` is a `{type(kwargs).__name__}`, expected an object"
        )
    return kwargs


def build_network(
    architecture: Architecture, shape: Shape, classes: int, baseline: str, activation: str
) -> nn.Module:
    """A new network, whose weights follow from torch's seed.

    Raises StudyError where there is no such network, and FactoryError where it does not fit the data.
    """
    _, kwargs = describe_network(architecture, shape, classes, baseline, activation)
    model = built_in(**kwargs) if architecture.is_built_in else of_factory(**kwargs)
    _check_outputs(model, architecture, shape, classes)
    return model


def _check_outputs(model: nn.Module, architecture: Architecture, shape: Shape, classes: int) -> None:
    training = model.training
    try:
        with torch.inference_mode():
            outputs = model.eval()(torch.zeros(2, *shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise FactoryError(
            f"architecture `{architecture.name}` does not take samples of shape {list(shape)}: {error}"
        ) from error
    finally:
        model.train(training)
    actual = list(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
    if actual != [2, classes]:
        raise FactoryError(
            f"architecture `{architecture.name}`: expected outputs [n, {classes}], one for each class or one "
            f"number, got {actual} for n = 2"
        )


def _require_image(shape: Shape, name: str) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[1:]) < 4:
        raise StudyError(
            f"architecture `{name}` takes images of at least 4x4 pixels, got samples of shape {list(shape)}; "
            "`mlp` takes any"
        )
    channels, height, width = shape
    return channels, height, width
