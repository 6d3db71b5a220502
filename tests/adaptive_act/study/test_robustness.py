import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from adaptive_act.study.robustness import CORRUPTIONS, Corruption, add_gaussian_noise, blur, reduce_contrast

X = torch.randn(3, 2, 12, 9, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda each: each.name)
def test_corruption_grows_with_severity_from_none(corruption: Corruption) -> None:
    distances = [float((corruption.apply(X, s) - X).abs().mean()) for s in corruption.severities]
    assert distances[0] < 1e-6
    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda each: each.name)
def test_every_variant_meets_the_same_corrupted_samples(corruption: Corruption) -> None:
    severity = corruption.severities[-1]
    assert torch.equal(corruption.apply(X, severity), corruption.apply(X, severity))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_scipys(sigma: float) -> None:
    expected = gaussian_filter(
        X.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, *[int(3 * sigma + 0.5)] * 2)
    )
    assert np.allclose(blur(X, sigma).numpy(), expected, atol=1e-5)


def test_noise_has_the_deviation_asked_for() -> None:
    added = add_gaussian_noise(torch.zeros(10_000), 0.5)
    assert float(added.std()) == pytest.approx(0.5, rel=0.03)


def test_contrast_pulls_each_sample_towards_its_own_mean() -> None:
    pale = reduce_contrast(X, 0.25)
    assert torch.allclose(pale.flatten(1).mean(1), X.flatten(1).mean(1), atol=1e-6)
    assert torch.allclose(pale.flatten(1).std(1), 0.25 * X.flatten(1).std(1), atol=1e-6)
