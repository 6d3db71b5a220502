"""A test double of torchvision, which timm imports and this project does not install.

timm asks it for the names below when it is imported: a type to compare norms with, an enum, and classes of
its data loading. None of them is part of a model here. The double is there only while timm is being imported,
so that nothing else takes it for torchvision. Its transforms of images are Pillow's and NumPy's, with
torchvision's arithmetic.
"""

import enum
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn


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


class Compose:
    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


class Resize:
    def __init__(self, size: int | Sequence[int], interpolation: InterpolationMode) -> None:
        self.size, self.filter = size, Image.Resampling[interpolation.name]

    def __call__(self, image: Image.Image) -> Image.Image:
        if not isinstance(self.size, int):
            return image.resize((self.size[1], self.size[0]), self.filter)
        width, height = image.size
        if width <= height:
            return image.resize((self.size, int(self.size * height / width)), self.filter)
        return image.resize((int(self.size * width / height), self.size), self.filter)


class CenterCrop:
    def __init__(self, size: int | Sequence[int]) -> None:
        self.height, self.width = (size, size) if isinstance(size, int) else size

    def __call__(self, image: Image.Image) -> Image.Image:
        top = round((image.height - self.height) / 2.0)
        left = round((image.width - self.width) / 2.0)
        return image.crop((left, top, left + self.width, top + self.height))


class Normalize:
    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean, self.std = mean[:, None, None], std[:, None, None]

    def __call__(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


_DATASETS = ("CIFAR10", "CIFAR100", "MNIST", "KMNIST", "FashionMNIST", "ImageFolder")
_CONTENT: dict[str, dict[str, object]] = {
    "torchvision": {},
    "torchvision.ops": {},
    "torchvision.ops.misc": {"FrozenBatchNorm2d": FrozenBatchNorm2d},
    "torchvision.transforms": {
        each.__name__: each for each in (ToTensor, Compose, Resize, CenterCrop, Normalize)
    },
    "torchvision.transforms.functional": {"InterpolationMode": InterpolationMode, "to_tensor": to_tensor},
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
