"""Darknet-53 with Mish in place of the leaky ReLU, for images [n, 3, 256, 256].

Source: Redmon & Farhadi 2018, YOLOv3, https://arxiv.org/abs/1804.02767; the activation: Misra 2019,
https://arxiv.org/abs/1908.08681
"""

import itertools

from torch import Tensor, nn

from adaptive_act import model_factory

BLOCKS = (1, 2, 8, 8, 4)
WIDTHS = (32, 64, 128, 256, 512, 1024)


class Convolution(nn.Sequential):
    """A convolution, its normalisation and Mish."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.Mish())


class Residual(nn.Module):
    """Half the channels and back, and a way around."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = Convolution(channels, channels // 2, 1)
        self.widen = Convolution(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> the same shape."""
        result: Tensor = x + self.widen(self.narrow(x))
        return result


@model_factory
def darknet53(classes: int = 1000) -> nn.Sequential:
    """The classifier of 53 layers: 41.6 million parameters."""
    layers: list[nn.Module] = [Convolution(3, WIDTHS[0], 3)]
    for (inputs, outputs), count in zip(itertools.pairwise(WIDTHS), BLOCKS, strict=True):
        layers += [Convolution(inputs, outputs, 3, stride=2), *(Residual(outputs) for _ in range(count))]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], classes))
