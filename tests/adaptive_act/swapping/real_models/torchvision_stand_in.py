"""A test double of torchvision, which timm imports and this project does not install.

timm asks it for the names below when it is imported: a type to compare norms with, an enum, and classes of
its data loading. None of them is part of a model here. The double is there only while timm is being imported,
so that nothing else takes it for torchvision.
"""

import enum
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

from torch import nn


class FrozenBatchNorm2d(nn.Module):
    pass


class InterpolationMode(enum.Enum):
    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


class ToTensor:
    pass


_DATASETS = ("CIFAR10", "CIFAR100", "MNIST", "KMNIST", "FashionMNIST", "ImageFolder")
_CONTENT: dict[str, dict[str, object]] = {
    "torchvision": {},
    "torchvision.ops": {},
    "torchvision.ops.misc": {"FrozenBatchNorm2d": FrozenBatchNorm2d},
    "torchvision.transforms": {"ToTensor": ToTensor},
    "torchvision.transforms.functional": {"InterpolationMode": InterpolationMode},
    "torchvision.datasets": {name: type(name, (), {}) for name in _DATASETS},
}


@contextmanager
def torchvision_stand_in() -> Iterator[None]:
    """Inside it, `import torchvision` finds the double."""
    for name, content in _CONTENT.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        vars(module).update(content)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    try:
        yield
    finally:
        for name in _CONTENT:
            del sys.modules[name]
