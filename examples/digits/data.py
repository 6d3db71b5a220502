"""Real handwritten digits of 8x8 pixels, bundled with scikit-learn, split into training and test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

CLASSES = tuple("0123456789")
TEST_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Digits:
    """Images [n, 1, 8, 8] with values from 0 to 1, and labels [n]."""

    images: Tensor
    labels: Tensor


def read_digits(seed: int = 0) -> tuple[Digits, Digits]:
    """The training and the test digits, each class in the same share in both."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=TEST_SHARE, random_state=seed, stratify=labels)
    train_images, test_images, train_labels, test_labels = map(torch.from_numpy, parts)
    return _to_digits(train_images, train_labels), _to_digits(test_images, test_labels)


def save_digits(digits: Digits, path: Path, name: str) -> None:
    """Writes an `.npz` of the images under the name of a model's input, and of the labels."""
    np.savez(path, allow_pickle=False, **{name: digits.images.numpy(), "labels": digits.labels.numpy()})


def _to_digits(images: Tensor, labels: Tensor) -> Digits:
    return Digits((images / 16).float().reshape(-1, 1, 8, 8), labels.long())
