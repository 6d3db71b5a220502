"""Small models of each library with random weights, and stand-ins for what is not installed."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.adaptive_act.swapping.real_models import torchvision_stand_in as double

with double.torchvision_stand_in():
    import timm

BERT: dict[str, Any] = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "vocab_size": 16,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 12,
    "max_position_embeddings": 12,
    "pad_token_id": 0,
    "id2label": {"0": "bad", "1": "good", "2": "犬"},
}
VIT: dict[str, Any] = {
    "architectures": ["ViTForImageClassification"],
    "model_type": "vit",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 12,
    "image_size": 16,
    "patch_size": 8,
}
PROCESSOR: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 16, "width": 16},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5, 0.6, 0.7],
}
WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "good": 4, "bad": 5, "day": 6}


def make_timm(classes: int = 1000) -> nn.Module:
    torch.manual_seed(3)
    model: nn.Module = timm.create_model("test_resnet", num_classes=classes)
    return model


def write_weights(model: nn.Module, path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def write_folder(folder: Path, config: dict[str, Any], processor: dict[str, Any] | None = None) -> Path:
    """A folder as `save_pretrained` writes it, with random weights."""
    import transformers  # noqa: PLC0415

    folder.mkdir(exist_ok=True)
    kind = getattr(transformers, config["architectures"][0])
    torch.manual_seed(1)
    write_weights(kind(kind.config_class.from_dict(config)), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def write_tokenizer(folder: Path) -> Path:
    """The files of a tokenizer that knows WORDS."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415

    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"pad_token": "[PAD]", "model_max_length": 10**30, "padding_side": "right"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder / "tokenizer.json"


class _Net(nn.Module):
    """[N, 3, 8, 8] -> [N, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(torch.relu(self.conv(x)).mean((2, 3)))
        return result


class _Transform:
    """What torchvision's `ImageClassification` does, with its attributes."""

    resize_size, crop_size = [10], [8]
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    interpolation = double.InterpolationMode.BILINEAR

    def __call__(self, image: Any) -> Tensor:
        steps = (
            double.Resize(10, self.interpolation),
            double.CenterCrop(8),
            double.to_tensor,
            double.Normalize(torch.tensor(self.mean), torch.tensor(self.std)),
        )
        result: Tensor = double.Compose(steps)(image)
        return result


def stand_in_for_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torchvision.models` has one model, `tiny`, and weights of it that nobody downloads."""

    def tiny(*, weights: object = None, num_classes: int = 2) -> nn.Module:
        assert weights is None
        return _Net(num_classes)

    first, second = (
        SimpleNamespace(name=name, transforms=_Transform, meta={"categories": ["cat", "dog"]})
        for name in ("IMAGENET1K_V1", "IMAGENET1K_V2")
    )

    module = ModuleType("torchvision.models")
    vars(module).update(
        list_models=lambda: ["tiny"],
        get_model_builder=lambda name: tiny,
        get_model=lambda name, **options: tiny(**options),
        get_model_weights=lambda name: type("All", (list,), {"DEFAULT": second})([first, second]),
    )
    parent = ModuleType("torchvision")
    vars(parent).update(models=module)
    monkeypatch.setitem(sys.modules, "torchvision", parent)
    monkeypatch.setitem(sys.modules, "torchvision.models", module)
