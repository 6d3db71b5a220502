"""A network with all that a conversion can get wrong: branches, orders of channels, shared and own slopes."""

import torch
from torch import Tensor, nn

from tests.convert.models import make_activation


class Network(nn.Module):
    """Images [N, 3, 8, 8] to four scores [N, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.bend = make_activation("PReLU", 8)
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.curve = make_activation("PELU")
        self.pool = nn.MaxPool2d(2)
        self.wide, self.narrow = nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(8, 6, 1)
        self.soft = make_activation("Swish")
        self.hidden = nn.Linear(12, 16)
        self.last = make_activation("PReLU")
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, 8, 8] -> [N, 4]."""
        x = self.bend(self.norm(self.stem(x)))
        x = self.pool(self.curve(self.left(x) - self.right(x)))
        x = self.soft(torch.cat([self.wide(x), self.narrow(x)], 1))
        result: Tensor = self.head(self.last(self.hidden(x.mean((2, 3)))))
        return result


def make_network() -> Network:
    """The network with weights away from where they start, in evaluation mode."""
    torch.manual_seed(5)
    made = Network()
    with torch.no_grad():
        for values in made.norm.state_dict().values():
            if values.is_floating_point():
                values.add_(torch.rand(values.shape) * 0.3)
        for activated in (made.bend, made.last):
            for parameter in activated.parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.2)
    return made.eval()
