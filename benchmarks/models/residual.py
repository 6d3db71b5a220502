"""A small residual network with batch normalisation, strides and 1×1 convolutions, for images [n, 3, 32, 32].

Source: He et al. 2015, Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385
"""

from torch import Tensor, nn

from adaptive_act import model_factory

WIDTHS = ((32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1))


def _normalised(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """Two 3×3 convolutions, or a bottleneck of three, and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        inner = outputs // 2 if bottleneck else outputs
        layers = [*_normalised(inputs, inner, 1 if bottleneck else 3, 1 if bottleneck else stride), nn.ReLU()]
        if bottleneck:
            layers += [*_normalised(inner, inner, 3, stride), nn.ReLU()]
        self.inner = nn.Sequential(*layers, *_normalised(inner, outputs, 1 if bottleneck else 3))
        is_same = stride == 1 and inputs == outputs
        self.around = nn.Identity() if is_same else nn.Sequential(*_normalised(inputs, outputs, 1, stride))
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        result: Tensor = self.last(self.inner(x) + self.around(x))
        return result


@model_factory
def residual() -> nn.Module:
    """Five blocks of 32 to 128 channels, the last one a bottleneck."""
    stem = [*_normalised(3, 32, 3), nn.ReLU()]
    blocks = [
        Block(inputs, outputs, stride, bottleneck=place == len(WIDTHS) - 1)
        for place, (inputs, outputs, stride) in enumerate(WIDTHS)
    ]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1][1], 10))
