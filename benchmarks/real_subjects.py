"""The models of benchmarks/real_models.py, with random weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from adaptive_act import Affine, PReLU, ScaledGELU, Swish, swap
from benchmarks.models.bigvgan import BANDS, bigvgan
from benchmarks.models.darknet import darknet53
from benchmarks.models.fsrcnn import fsrcnn
from benchmarks.models.iresnet import FACE, iresnet50
from tests.adaptive_act.swapping.real_models import models

IMAGE = {"x": ("float32", (3, 224, 224))}
ADAPTIVE: dict[type[nn.Module], Any] = {
    nn.ReLU: PReLU,
    nn.SiLU: Swish,
    nn.GELU: ScaledGELU,
    nn.Hardswish: Affine,
    nn.Hardsigmoid: Affine,
    nn.Sigmoid: Affine,
    nn.Tanh: Affine,
}
"""What is put in the place of each plain activation, with parameters per channel."""


@dataclass(frozen=True, slots=True)
class RealModel:
    """A model by its factory; what one sample of each input is; and whether its activations are swapped."""

    build: Callable[..., nn.Module]
    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    adaptive: bool = True
    free: bool = True
    """Whether the batch is left open; else it is one."""

    @property
    def factory(self) -> str:
        """The factory that a checkpoint names."""
        return f"{self.build.__module__}:{self.build.__name__}"

    def specs(self) -> list[dict[str, Any]]:
        """The inputs as a checkpoint describes them."""
        batch = None if self.free else 1
        return [
            {"name": name, "dtype": dtype, "shape": [batch, *shape]}
            for name, (dtype, shape) in self.inputs.items()
        ]

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """The same numbers on every call."""
        numbers = torch.Generator().manual_seed(0)
        return tuple(
            torch.randn(batch, *shape, generator=numbers)
            if dtype == "float32"
            else torch.randint(0, 5, (batch, *shape), generator=numbers)
            for dtype, shape in self.inputs.values()
        )

    @property
    def traced(self) -> tuple[Tensor, ...]:
        """The example for the exporter: two samples where the batch is free, since it takes 1 for fixed."""
        return self.example(2 if self.free else 1)

    def model(self) -> nn.Module:
        """The model as after training: slopes that differ, norms that fit the numbers that reach them."""
        torch.manual_seed(0)
        model = self.build(**self.kwargs)
        if self.adaptive:
            model = swap(model, ADAPTIVE, per_channel=True, example=self.example(2)).model
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.05)
            settle_statistics(model, self.example(4))
        return model.eval().requires_grad_(False)


def settle_statistics(model: nn.Module, example: tuple[Tensor, ...]) -> None:
    """Sets each batch norm's statistics to those of these samples, as after training."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    model(*example)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def _make_timm(name: str, **options: Any) -> RealModel:
    return RealModel(models.timm_model, IMAGE, {"name": name, **options})


REAL_MODELS: dict[str, RealModel] = {
    "resnet18": _make_timm("resnet18"),
    "mobilenetv3_small_100": _make_timm("mobilenetv3_small_100"),
    "efficientnet_b0": _make_timm("efficientnet_b0"),
    "vit_tiny_patch16_224": _make_timm("vit_tiny_patch16_224"),
    "convnext_atto": _make_timm("convnext_atto"),
    "densenet121": _make_timm("densenet121"),
    "bert": RealModel(models.Bert, {"ids": ("int64", (9,))}, free=False),
    "lstm": RealModel(models.LSTMHead, {"x": ("float32", (5, 6))}, free=False),
    "unet": RealModel(models.UNet, {"x": ("float32", (3, 128, 128))}, {"width": 32}),
    "tabular": RealModel(models.TabularMLP, {"numbers": ("float32", (7,)), "kind": ("int64", ())}),
    "encoder": RealModel(models.Encoder, {"x": ("float32", (5, 16))}, free=False),
    "IResNet-50": RealModel(iresnet50, {"face": ("float32", (3, FACE, FACE))}, adaptive=False),
    "FSRCNN": RealModel(fsrcnn, {"image": ("float32", (1, 180, 320))}, adaptive=False),
    "Darknet-53": RealModel(darknet53, {"image": ("float32", (3, 256, 256))}, adaptive=False),
    "BigVGAN": RealModel(bigvgan, {"mel": ("float32", (BANDS, 32))}, adaptive=False, free=False),
}
"""Those that the tests of `swap` run, with activations that learn, and four as people serve them today."""
