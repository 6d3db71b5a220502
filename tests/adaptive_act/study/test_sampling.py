import numpy as np
import pytest

from adaptive_act.study.sampling import add_label_noise, sample_long_tailed, split_stratified

LABELS = np.repeat(np.arange(4), [100, 60, 30, 10])


@pytest.mark.parametrize("size", [1, 20, 37, 199])
def test_a_stratified_choice_keeps_each_class_in_its_share(size: int) -> None:
    kept, rest = split_stratified(LABELS, size, seed=3)
    assert len(kept) == size
    assert sorted([*kept, *rest]) == list(range(200))
    exact = np.array([100, 60, 30, 10]) * size / 200
    assert (abs(np.bincount(LABELS[kept], minlength=4) - exact) < 1).all()


def test_the_seed_decides_the_choice() -> None:
    first, second, other = (split_stratified(LABELS, 50, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_long_tail_falls_geometrically() -> None:
    labels = np.repeat(np.arange(3), 100)
    kept = sample_long_tailed(labels, imbalance=100, seed=0)
    assert np.bincount(labels[kept]).tolist() == [100, 10, 1]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_noise_replaces_exactly_its_share_by_other_classes(share: float) -> None:
    spoilt = add_label_noise(LABELS, share, classes=4, seed=0)
    assert (spoilt != LABELS).sum() == round(share * 200)
    assert set(spoilt) <= {0, 1, 2, 3}
