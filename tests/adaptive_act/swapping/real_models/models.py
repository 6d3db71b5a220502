"""Real models with random weights: from timm and transformers, and as people write them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from adaptive_act import model_factory
from tests.adaptive_act.swapping.real_models.torchvision_stand_in import torchvision_stand_in

with torchvision_stand_in():
    import timm
    from timm.layers import create_act

__all__ = ["create_act"]


@model_factory
def timm_model(name: str, **options: Any) -> nn.Module:
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=4, **options)
    return model


class Bert(nn.Module):
    """BERT with a classifier, small in every size; a tensor in and a tensor out."""

    def __init__(self, hidden_act: str = "gelu") -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=64,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=32,
            id2label={number: str(number) for number in range(4)},
            hidden_act=hidden_act,
        )
        self.bert = BertForSequenceClassification(config)

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.bert(input_ids).logits
        return logits


class LSTMHead(nn.Module):
    """A recurrent network with a head that calls a function, and a dropout that knows the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 16, batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(32, 24)
        self.output = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        hidden = F.dropout(F.relu(self.hidden(states[:, -1])), 0.2, self.training)
        return self.output(hidden)  # type: ignore[no-any-return]  # Module calls are Any


class DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        return F.relu(self.second(x), inplace=True)


class UNet(nn.Module):
    """Two steps down and up again, with skips that are concatenated."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.down1, self.down2 = DoubleConv(3, width), DoubleConv(width, 2 * width)
        self.middle = DoubleConv(2 * width, 4 * width)
        self.up2, self.up1 = DoubleConv(6 * width, 2 * width), DoubleConv(3 * width, width)
        self.mask = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down1(x)
        coarse = self.down2(F.max_pool2d(fine, 2))
        deep = self.middle(F.max_pool2d(coarse, 2))
        coarse = self.up2(torch.cat([F.interpolate(deep, scale_factor=2.0), coarse], 1))
        fine = self.up1(torch.cat([F.interpolate(coarse, scale_factor=2.0), fine], 1))
        return torch.sigmoid(self.mask(fine))


class TabularMLP(nn.Module):
    """Embedded categories beside numbers, and one function that all hidden layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Embedding(5, 4)
        self.norm = nn.BatchNorm1d(7)
        self.hidden = nn.ModuleList([nn.Linear(11, 16), nn.Linear(16, 16)])
        self.output = nn.Linear(16, 1)
        self.activation = F.silu

    def forward(self, numbers: Tensor, kind: Tensor) -> Tensor:
        x = torch.cat([self.norm(numbers), self.kinds(kind)], 1)
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.output(x)  # type: ignore[no-any-return]  # Module calls are Any


class Encoder(nn.Module):
    """Torch's own transformer encoder, which holds its activation as a function."""

    def __init__(self, activation: str = "relu") -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 24, activation=activation, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.output = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.encoder(x).mean(1))  # type: ignore[no-any-return]  # Module calls are Any
