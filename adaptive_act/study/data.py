"""A data set ready to train on: read, split, standardised, in memory as tensors."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adaptive_act.errors import DataError
from adaptive_act.study.formats import read_dataset
from adaptive_act.study.formats.raw import Labels, RawDataset, Samples, SampleSet
from adaptive_act.study.parallel import use_one_thread
from adaptive_act.study.sampling import (
    Classes,
    Indices,
    add_label_noise,
    sample_long_tailed,
    split_stratified,
)
from adaptive_act.study.specs import DataSpec, TaskName
from adaptive_act.study.task import CLASSIFICATION, REGRESSION, Task

TEST_SHARE = 0.2
"""Share of the samples that are kept apart for the test where the files keep none."""
_FLAT = 1e-6  # a standard deviation below this share of the largest number is that of a constant


@dataclass(frozen=True, slots=True)
class LabelledTensors:
    """Standardised samples [n, channels, height, width] or [n, features] in float32, and labels [n].

    Numbers to predict are standardised too, as float32.
    """

    x: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def task(self) -> Task:
        """What the labels ask for."""
        return REGRESSION if self.labels.is_floating_point() else CLASSIFICATION


@dataclass(frozen=True, slots=True)
class Dataset:
    """Three disjoint sets of samples. The test samples are looked at once, after training."""

    name: str
    train: LabelledTensors
    validation: LabelledTensors
    test: LabelledTensors
    classes: tuple[str, ...]
    """Empty where numbers are to be predicted."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    """SHA-256 of all samples and labels as the files hold them."""
    target_mean: float = 0.0
    target_std: float = 1.0
    """By which numbers to predict were standardised; those of classes are not."""

    @property
    def task(self) -> Task:
        """What is learned."""
        return self.train.task

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for a sample."""
        return len(self.classes) or 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.train.x.shape[1:])

    @property
    def chance(self) -> float:
        """The score on the test samples of always naming their most frequent class, or their mean."""
        if not self.classes:
            return 0.0
        return float(torch.bincount(self.test.labels).max()) / len(self.test)


@functools.lru_cache(maxsize=1)
def load_dataset(spec: DataSpec) -> Dataset:
    """The data of a spec; equal specs of equal files give equal tensors.

    Samples are shifted and scaled by the training samples' mean and standard deviation, of each channel or
    feature. Label noise and imbalance touch the training samples only. Raises DataError.
    """
    raw, digest = _read_raw(spec.source, spec.resize, spec.task)
    with use_one_thread():
        return _split_dataset(raw, digest, spec)


def _split_dataset(raw: RawDataset, digest: str, spec: DataSpec) -> Dataset:
    train, test = _separate_test(raw, spec)
    strata = _stratify(raw, train.labels)
    validation, rest = split_stratified(strata, _validation_size(raw, len(strata), spec), spec.split_seed)
    chosen = rest[_select_training(strata[rest], spec)]
    parts = [train.labels[chosen], train.labels[validation], test.labels]
    labels, target_mean, target_std = _make_targets(raw, parts, spec)
    x = _to_float(train.samples[chosen])
    mean, std = _measure_moments(x)
    return Dataset(
        name=raw.name,
        train=LabelledTensors(_standardise(x, mean, std), labels[0]),
        validation=_standardise_set(train.samples[validation], labels[1], mean, std),
        test=_standardise_set(test.samples, labels[2], mean, std),
        classes=raw.classes,
        mean=tuple(mean.flatten().tolist()),
        std=tuple(std.flatten().tolist()),
        digest=digest,
        target_mean=target_mean,
        target_std=target_std,
    )


def _stratify(raw: RawDataset, labels: Labels) -> Classes:
    """The class of each sample, by which the data are split; one for all where there are no classes."""
    return labels.astype(np.int64) if raw.classes else np.zeros(len(labels), np.int64)


def _make_targets(
    raw: RawDataset, parts: Sequence[Labels], spec: DataSpec
) -> tuple[list[Tensor], float, float]:
    """The labels of training, validation and test as tensors; numbers standardised by those of training."""
    if raw.classes:
        train, *others = [part.astype(np.int64) for part in parts]
        noisy = add_label_noise(train, spec.label_noise, len(raw.classes), spec.split_seed)
        return [torch.from_numpy(part) for part in (noisy, *others)], 0.0, 1.0
    if spec.label_noise or spec.imbalance > 1:
        raise DataError(
            f"`{spec.source}` holds numbers to predict; wrong labels and rare classes need classes"
        )
    for part, numbers in zip(("training", "validation", "test"), parts, strict=True):
        if np.ptp(numbers) == 0:
            raise DataError(
                f"`{spec.source}`: expected numbers to predict that differ, got {numbers[0]:g} for all "
                f"{len(numbers)} {part} samples"
            )
    mean, std = float(np.mean(parts[0])), float(np.std(parts[0]))
    return [torch.from_numpy(((part - mean) / std).astype(np.float32)) for part in parts], mean, std


@functools.lru_cache(maxsize=1)
def _read_raw(source: str, resize: int | None, task: TaskName | None) -> tuple[RawDataset, str]:
    raw = read_dataset(source, resize, task)
    digest = hashlib.sha256(repr(raw.classes).encode())
    for part in (raw.train, raw.test):
        if part is not None:
            digest.update(repr((part.samples.shape, part.samples.dtype.str)).encode())
            digest.update(np.ascontiguousarray(part.samples).data)
            digest.update(np.ascontiguousarray(part.labels).data)
    return raw, digest.hexdigest()


def _separate_test(raw: RawDataset, spec: DataSpec) -> tuple[SampleSet, SampleSet]:
    """Training and test samples; where the files keep none apart, a fifth of each class is."""
    if raw.test is not None:
        return raw.train, raw.test
    labels = raw.train.labels
    strata = _stratify(raw, labels)
    test, train = split_stratified(strata, round(TEST_SHARE * len(labels)), spec.split_seed)
    return (
        SampleSet(raw.train.samples[train], labels[train]),
        SampleSet(raw.train.samples[test], labels[test]),
    )


def _validation_size(raw: RawDataset, available: int, spec: DataSpec) -> int:
    size = round(spec.validation * available)
    if size < 1 or available - size < len(raw.classes):
        raise DataError(
            f"`{spec.source}` has {available} training samples, too few to hold out {spec.validation:.0%} "
            f"of them for validation and train on {len(raw.classes) or 'no'} classes"
        )
    return size


def _select_training(labels: Classes, spec: DataSpec) -> Indices:
    """The training samples that `train_size` and `imbalance` leave."""
    kept = np.arange(len(labels))
    if spec.train_size is not None:
        if not 0 < spec.train_size <= len(labels):
            raise DataError(
                f"`{spec.source}`: expected a training size from 1 to {len(labels)} (what validation and "
                f"test leave), got {spec.train_size}"
            )
        kept, _ = split_stratified(labels, spec.train_size, spec.split_seed)
    if spec.imbalance > 1:
        kept = kept[sample_long_tailed(labels[kept], spec.imbalance, spec.split_seed)]
    return kept


def _to_float(samples: Samples) -> Tensor:
    x = torch.tensor(samples, dtype=torch.float32)
    return x.div_(255) if samples.dtype == np.uint8 else x


def _measure_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, shaped to meet one sample: of each channel, or of each feature."""
    dimensions = (0, 2, 3) if x.dim() == 4 else (0,)
    std, mean = torch.std_mean(x, dimensions, correction=0, keepdim=True)
    varies = std > _FLAT * x.abs().amax(dimensions, keepdim=True)
    return mean[0], torch.where(varies, std, torch.ones_like(std))[0]


def _standardise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (x - mean).div_(std)


def _standardise_set(samples: Samples, labels: Tensor, mean: Tensor, std: Tensor) -> LabelledTensors:
    return LabelledTensors(_standardise(_to_float(samples), mean, std), labels)
