"""IResNet-18 and -50, which turn a face [n, 3, 112, 112] into 512 numbers: PReLU with a slope a channel.

The improved residual block normalises before its first convolution, and nothing bends after the sum; ArcFace
trains it with an angular margin.

Source: Deng et al. 2019, ArcFace, https://arxiv.org/abs/1801.07698; the block: Duta et al. 2020, Improved
Residual Networks, https://arxiv.org/abs/2004.04989
"""

from collections.abc import Sequence

from torch import Tensor, nn

from adaptive_act import model_factory

WIDTHS = (64, 128, 256, 512)
EMBEDDING = 512
FACE = 112


class Block(nn.Module):
    """Normalise, convolve, bend, convolve; and a way around."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        inner = self.prelu(self.norm2(self.conv1(self.norm1(x))))
        result: Tensor = self.norm3(self.conv2(inner)) + self.around(x)
        return result


@model_factory
def iresnet18() -> nn.Sequential:
    """The network of 18 layers: 24.0 million parameters, 12.8 of them in the last linear layer."""
    return _build((2, 2, 2, 2))


@model_factory
def iresnet50() -> nn.Sequential:
    """The network of 50 layers: 43.6 million parameters, 12.8 of them in the last linear layer."""
    return _build((3, 4, 14, 3))


def _build(counts: Sequence[int]) -> nn.Sequential:
    """The network with so many blocks of each width."""
    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)]
    blocks: list[nn.Module] = []
    inputs = 64
    for width, count in zip(WIDTHS, counts, strict=True):
        for place in range(count):
            blocks.append(Block(inputs, width, 2 if place == 0 else 1))
            inputs = width
    flat = inputs * (FACE // 2 ** len(WIDTHS)) ** 2
    head = [nn.BatchNorm2d(inputs), nn.Flatten(), nn.Linear(flat, EMBEDDING), nn.BatchNorm1d(EMBEDDING)]
    return nn.Sequential(*stem, *blocks, *head)
