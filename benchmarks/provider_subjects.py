"""The twenty nets of benchmarks/providers.py: those of real_subjects, and five more kinds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from adaptive_act import save
from benchmarks.real_subjects import IMAGE, REAL_MODELS, RealModel
from benchmarks.rivals import export_with_torch
from tests.adaptive_act.swapping.real_models import models

CIFAR = {"x": ("float32", (3, 32, 32))}


def _make_timm(name: str, inputs: Any = IMAGE, **options: Any) -> RealModel:
    return RealModel(models.timm_model, inputs, {"name": name, **options})


NETS: dict[str, RealModel] = {
    **REAL_MODELS,
    "swin_tiny": _make_timm("swin_tiny_patch4_window7_224"),
    "fastvit_t8": _make_timm("fastvit_t8"),
    "mixer_s32": _make_timm("mixer_s32_224"),
    "regnety_002": _make_timm("regnety_002"),
    "resnet10t_32": _make_timm("resnet10t", CIFAR),
}
"""A hierarchy of windows, a hybrid, one of layers of rows only, a searched one, and a small residual net."""


@dataclass(frozen=True, slots=True)
class Export:
    """The files of one net: with a free batch, or of one batch where its code fixes that."""

    net: str
    batch: int | None

    @property
    def subject(self) -> RealModel:
        """The net."""
        return NETS[self.net]

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """The same numbers on every call."""
        return self.subject.example(batch)

    def write(self, folder: Path, checkpoint: str, torch_file: str) -> None:
        """Write the checkpoint, and torch.onnx.export's file of it."""
        subject, model = self.subject, self.subject.model()
        specs = [
            {"name": name, "dtype": dtype, "shape": [self.batch, *shape]}
            for name, (dtype, shape) in subject.inputs.items()
        ]
        save(
            model,
            folder / checkpoint,
            factory=subject.factory,
            factory_kwargs=dict(subject.kwargs),
            inputs=specs,
        )
        # Two samples where the batch is free, since the exporter takes 1 for fixed.
        traced = self.example(self.batch or 2)
        names = tuple(subject.inputs)
        export_with_torch(model, traced, names, folder / torch_file, free=self.batch is None)


def list_exports(net: str, batches: tuple[int, ...]) -> list[Export]:
    """One where the batch is free, else one for each."""
    return [Export(net, None)] if NETS[net].free else [Export(net, batch) for batch in batches]
