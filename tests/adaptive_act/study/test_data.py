from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptive_act.errors import DataError
from adaptive_act.study.data import load_dataset
from adaptive_act.study.specs import DataSpec


@pytest.fixture
def source(tmp_path: Path) -> str:
    """200 samples of 2 classes, each sample with a value of its own."""
    x = np.arange(200, dtype=np.float32)[:, None] * np.array([1, 1000, 0], np.float32)
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(200) % 2)
    return str(tmp_path / "own.npz")


def numbers(x: torch.Tensor, mean: float, std: float) -> set[int]:
    return {round(value) for value in (x[:, 0] * std + mean).tolist()}


def test_the_three_sets_share_no_sample_and_leave_none_out(source: str) -> None:
    data = load_dataset(DataSpec(source))
    parts = [numbers(part.x, data.mean[0], data.std[0]) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [144, 16, 40]
    assert set.union(*parts) == set(range(200))


def test_training_samples_are_standardised(source: str) -> None:
    data = load_dataset(DataSpec(source))
    assert torch.allclose(data.train.x[:, :2].mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(data.train.x[:, :2].std(0, correction=0), torch.ones(2), atol=1e-5)
    assert (data.train.x[:, 2] == 0).all()


def test_features_of_any_unit_are_standardised(tmp_path: Path) -> None:
    x = np.arange(200, dtype=np.float32)[:, None] * np.array([1e-9, 1e9, 0], np.float32)
    x[:, 2] = 1e6 / 3
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(200) % 2)
    data = load_dataset(DataSpec(str(tmp_path / "own.npz")))
    assert torch.allclose(data.train.x[:, :2].std(0, correction=0), torch.ones(2), atol=1e-5)
    assert data.std[2] == 1


def test_bytes_are_images_from_0_to_1(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (100, 4, 4), np.uint8)
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(100) % 2)
    data = load_dataset(DataSpec(str(tmp_path / "own.npz")))
    assert data.shape == (1, 4, 4)
    assert 0.4 < data.mean[0] < 0.6
    assert 0.2 < data.std[0] < 0.4


@pytest.mark.parametrize("spoilt", [{"label_noise": 0.5}, {"imbalance": 10.0}, {"train_size": 50}])
def test_what_is_spoilt_are_the_training_samples_alone(source: str, spoilt: dict[str, float]) -> None:
    clean, worse = load_dataset(DataSpec(source)), load_dataset(replace(DataSpec(source), **spoilt))  # type: ignore[arg-type]
    assert torch.equal(clean.test.labels, worse.test.labels)
    assert torch.equal(clean.validation.labels, worse.validation.labels)
    assert not torch.equal(clean.train.labels, worse.train.labels)
    assert clean.digest == worse.digest


def test_another_sample_is_another_digest(source: str, tmp_path: Path) -> None:
    with np.load(source) as found:
        x, y = found["x"].copy(), found["y"]
    x[7, 0] += 1
    np.savez(tmp_path / "other.npz", x=x, y=y)
    assert load_dataset(DataSpec(source)).digest != load_dataset(DataSpec(str(tmp_path / "other.npz"))).digest


def test_too_large_a_training_size_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="from 1 to 144"):
        load_dataset(DataSpec(source, train_size=145))


def test_chance_is_the_share_of_the_most_frequent_class(source: str) -> None:
    assert load_dataset(DataSpec(source)).chance == 0.5
