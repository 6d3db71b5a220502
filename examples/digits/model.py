"""A small convolutional network with ReLU."""

from collections import OrderedDict

from torch import nn

from adaptive_act import model_factory


@model_factory
def build(width: int = 16, classes: int = 10) -> nn.Module:
    """Four 3x3 convolutions with batch normalisation, for images [n, 1, 8, 8]."""
    return nn.Sequential(
        OrderedDict(
            conv1=_convolution(1, width),
            conv2=_convolution(width, width),
            halve=nn.MaxPool2d(2),
            conv3=_convolution(width, 2 * width),
            conv4=_convolution(2 * width, 2 * width),
            average=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classify=nn.Linear(2 * width, classes),
        )
    )


def _convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            convolve=nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            normalise=nn.BatchNorm2d(outputs),
            activate=nn.ReLU(),
        )
    )
