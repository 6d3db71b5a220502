"""FSRCNN, which makes images [n, 1, h, w] larger: PReLU with a slope a channel, and a transposed convolution.

Source: Dong et al. 2016, Accelerating the Super-Resolution Convolutional Neural Network,
https://arxiv.org/abs/1608.00367
"""

from torch import nn

from adaptive_act import model_factory

DETAIL, SHRUNK, MAPPINGS = 56, 12, 4  # the paper's d, s and m


@model_factory
def fsrcnn(scale: int = 3) -> nn.Sequential:
    """FSRCNN(56, 12, 4): [n, 1, h, w] -> [n, 1, scale · h, scale · w], 12,464 weights besides biases."""
    layers: list[nn.Module] = [nn.Conv2d(1, DETAIL, 5, padding=2), nn.PReLU(DETAIL)]
    layers += [nn.Conv2d(DETAIL, SHRUNK, 1), nn.PReLU(SHRUNK)]
    for _ in range(MAPPINGS):
        layers += [nn.Conv2d(SHRUNK, SHRUNK, 3, padding=1), nn.PReLU(SHRUNK)]
    layers += [nn.Conv2d(SHRUNK, DETAIL, 1), nn.PReLU(DETAIL)]
    return nn.Sequential(
        *layers, nn.ConvTranspose2d(DETAIL, 1, 9, stride=scale, padding=4, output_padding=scale - 1)
    )
