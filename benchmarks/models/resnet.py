"""ResNet-18: residual blocks of two 3×3 convolutions, for images [n, 3, 224, 224].

Source: He et al. 2015, Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385
"""

from torch import Tensor, nn

from adaptive_act import model_factory

WIDTHS = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))


class Block(nn.Module):
    """Two 3×3 convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, plain: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = plain()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act2 = plain()
        self.around: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        inner = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        result: Tensor = self.act2(inner + self.around(x))
        return result


@model_factory
def resnet18(activation: str = "ReLU", classes: int = 1000) -> nn.Sequential:
    """ResNet-18 with the named plain activation: 11.7 million parameters."""
    plain: type[nn.Module] = getattr(nn, activation)
    blocks = [
        block
        for inputs, outputs, stride in WIDTHS
        for block in (Block(inputs, outputs, stride, plain), Block(outputs, outputs, 1, plain))
    ]
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), plain(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))
