"""Padded sequences in torch's transformer layers and in BERT, and samples that are nothing but padding."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.sources.export import export


class Padded(nn.Module):
    """An encoder of sequences with a padding mask."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """[N, T, 8], [N, T] -> [N, T, 8]."""
        result: Tensor = self.encoder(x, src_key_padding_mask=padding)
        return result


class Classifier(nn.Module):
    """A BERT of random weights."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
        )
        self.bert = BertForSequenceClassification(config)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[N, T], [N, T] -> [N, 2]."""
        result: Tensor = self.bert(input_ids=ids, attention_mask=mask).logits
        return result


def open_exported(model: nn.Module, *inputs: str) -> Session:
    """The exported model in ONNX Runtime."""
    specs = [parse_input(text) for text in inputs]
    return Session(serialise(export(model, specs, ["y"]).model), [spec.name for spec in specs])


def run_model(model: nn.Module, *arrays: Array) -> Array:
    """The model's result, without gradients, where torch takes its fast path."""
    with torch.no_grad():
        result: Array = model(*map(torch.from_numpy, arrays)).numpy()
    return result


X = np.random.default_rng(0).standard_normal((2, 6, 8)).astype(np.float32)
PADDINGS = {
    "none": [[0] * 6, [0] * 6],
    "at the end": [[0] * 3 + [1] * 3, [0] * 6],
    "a whole sample": [[1] * 6, [0] * 4 + [1] * 2],
    "in between": [[0, 1, 0, 0, 0, 0], [0] * 4 + [1] * 2],
    "at the start": [[1, 1, 0, 0, 0, 0], [0] * 6],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("is_stack", [True, False])
def test_padding_is_as_in_torch(is_stack: bool) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1, norm=nn.LayerNorm(8)) if is_stack else layer
    model = Padded(encoder).eval()
    session = open_exported(model, "x:float32[N,T,8]", "padding:bool[N,T]")
    for name, mask in PADDINGS.items():
        padding = np.array(mask, bool)
        expected = run_model(model, X, padding)
        if np.isnan(expected).any():  # torch's fast path, for a sample without a key; the slow one is finite
            expected = model(torch.from_numpy(X), torch.from_numpy(padding)).detach().numpy()
        assert session.run([X, padding])["y"] == pytest.approx(expected, abs=2e-6), name


@pytest.mark.slow
def test_bert_takes_a_mask_without_a_token() -> None:
    torch.manual_seed(0)
    model = Classifier().eval()
    ids = np.random.default_rng(0).integers(0, 50, (2, 8))
    session = open_exported(model, "ids:int64[N,T]<50", "mask:int64[N,T]<2")
    for mask in (
        np.ones((2, 8), np.int64),
        np.zeros((2, 8), np.int64),
        np.array([[1] * 3 + [0] * 5, [0] * 8]),
    ):
        expected = run_model(model, ids, mask)
        assert session.run([ids, mask])["y"] == pytest.approx(expected, abs=1e-7)
